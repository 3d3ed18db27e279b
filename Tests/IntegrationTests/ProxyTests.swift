// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Testing

/// Proxies on the way to Service Discovery (from the environment) and to the servers (from the configuration).
extension Integration {
    @Suite struct Proxies {
        /// Names that only the proxy knows, so that nothing can go past it.
        private static let (discoveryName, serverName) = ("sd.invalid:8088", "ac.invalid:6751")

        struct Login: CustomTestStringConvertible, Sendable {
            var asked: String?
            var given: String?
            var testDescription: String { "asked for \(asked ?? "nothing"), given \(given ?? "nothing")" }

            var flags: [String] { asked.map { ["-proxy-auth", $0] } ?? [] }
            func url(_ proxy: InteropDiscovery) -> String {
                "http://" + (given.map { "\($0)@" } ?? "") + proxy.address
            }
        }

        static let sufficient = [Login(), Login(asked: "me:pass word", given: "me:pass word"), Login(given: "me:pw")]
        static let insufficient = [Login(asked: "me:pw"), Login(asked: "me:pw", given: "me:wrong")]

        // MARK: For Service Discovery

        private static func environment(_ variables: String...) -> ChildProcess.Options {
            .init(environment: TestEnvironment.withoutProxies + variables)
        }

        @Test(arguments: [Login(), Login(asked: "me:pw", given: "me:pw")])
        func discoveryThroughTheEnvironmentsProxy(_ login: Login) throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1)
                let proxy = try scenario.startDiscovery(login.flags)
                try proxy.resolve(Self.discoveryName, to: cluster.discovery.address)
                let agent = try scenario.startAgent(
                    region(discovery: [Self.discoveryName]),
                    options: Self.environment("http_proxy=\(login.url(proxy))")
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode sd")
                let request = try #require(proxy.events("request").first)
                #expect(request["proxy"].int == 1)
                #expect(request["host"].string == Self.discoveryName)
                #expect(request["credentials"].string == login.given ?? "")
                #expect(cluster.discovery.events("request").count == 1)
                try agent.stop()
            }
        }

        @Test(arguments: [
            BadProxy(mode: "normal", reason: "407"), BadProxy(mode: "502", reason: "502"),
            BadProxy(mode: "never", reason: "service discovery"), BadProxy(mode: "down", reason: "Connection refused"),
        ])
        func discoveryProxyThatFails(_ bad: BadProxy) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let proxy = try scenario.startDiscovery(["-proxy-auth", "me:pw"])
                let login = bad.mode == "normal" ? "" : "me:pw@"
                if bad.mode == "down" { proxy.crash() } else { try proxy.command("proxy_mode", ["mode": bad.mode]) }
                let agent = try scenario.startAgent(
                    region(discovery: [Self.discoveryName], private: [server.address])
                        .merging(["timeouts": ["discovery": "300ms"]]) { $1 },
                    options: Self.environment("http_proxy=http://\(login)\(proxy.address)")
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode private")
                let lines = agent.messages(with: "service discovery at \(Self.discoveryName): ")
                #expect(lines.count == 1 && lines[0].contains(bad.reason), "\(lines)")
                #expect(!lines.contains { $0.contains("me:pw") }, "no password in the log")
                print("\(bad.mode): \(lines.first ?? "")")
                try agent.stop()
            }
        }

        @Test(arguments: ["127.0.0.1", "*", "other.example,127.0.0.1", " 127.0.0.1 , other.example"])
        func exceptions(noProxy: String) throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1)
                let proxy = try scenario.startDiscovery()
                let agent = try scenario.startAgent(
                    region(discovery: [cluster.discovery.address]),
                    options: Self.environment("http_proxy=http://\(proxy.address)", "no_proxy=\(noProxy)")
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode sd")
                #expect(proxy.events("request").count == 0)
                try agent.stop()
            }
        }

        /// `no_proxy` is for whom it names; and servers have nothing to do with `http_proxy`.
        @Test func othersAreNotExceptions() throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1)
                let proxy = try scenario.startDiscovery(["-connect-proxy"])
                let agent = try scenario.startAgent(
                    region(discovery: [cluster.discovery.address]),
                    options: Self.environment("http_proxy=http://\(proxy.address)", "no_proxy=27.0.0.1,other.example")
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode sd")
                #expect(proxy.events("request").count == 1)
                #expect(proxy.events("connect").count == 0)
                try agent.stop()
            }
        }

        // MARK: For servers

        @Test(arguments: sufficient)
        func serverThroughATunnel(_ login: Login) throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["count": 5000])
                let server = try scenario.startServer()
                let proxy = try scenario.startDiscovery(["-connect-proxy"] + login.flags)
                let agent = try scenario.startAgent(["transfer": ["proxy": login.url(proxy)]])
                try agent.wait(for: "get connection successfully: idc default,region default,netmode private")
                let tunnel = try #require(proxy.events("connect").first)
                #expect(tunnel["status"].int == 200)
                #expect(tunnel["target"].string == server.address && tunnel["host"].string == server.address)
                #expect(tunnel["credentials"].string == login.given ?? "")
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                #expect(agent.problems == [])
                #expect(proxy.events("connect").count == 1)
            }
        }

        /// The proxy gets the name: hosts behind a proxy often cannot resolve it.
        @Test(arguments: ["normal", "slow"])
        func theProxyResolvesNames(mode: String) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let proxy = try scenario.startDiscovery(["-connect-proxy"])
                try proxy.command("proxy_mode", ["mode": mode])
                try proxy.resolve(Self.serverName, to: server.address)
                let agent = try scenario.startAgent(
                    ["transfer": ["proxy": "http://localhost:\(proxy.port)"]],
                    endpoints: [Self.serverName]
                )
                try agent.wait(for: "get connection successfully")
                #expect(proxy.events("connect").first?["target"].string == Self.serverName)
                try agent.stop()
            }
        }

        /// Wrong or missing credentials: each attempt logs one line that says so, without them.
        @Test(arguments: insufficient)
        func credentialsAreMissing(_ login: Login) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let proxy = try scenario.startDiscovery(["-connect-proxy"] + login.flags)
                let agent = try scenario.startAgent(["transfer": ["proxy": login.url(proxy)]])
                try agent.wait(for: "cannot use \(server.address): ", count: 3)
                try agent.stop()
                expectAttempts(agent, refused: "407")
                #expect(!agent.problems.contains { $0.contains("wrong") }, "no password in the log")
                #expect(proxy.events("connect").allSatisfy { $0["status"].int == 407 })
                #expect(server.events("connection").count == 0)
            }
        }

        struct BadProxy: CustomTestStringConvertible, Sendable {
            var mode: String
            var reason: String
            var testDescription: String { mode }
        }

        @Test(arguments: [
            BadProxy(mode: "403", reason: "403"), BadProxy(mode: "502", reason: "502"),
            BadProxy(mode: "close", reason: "proxy"), BadProxy(mode: "never", reason: "cannot use"),
            BadProxy(mode: "down", reason: "Connection refused"),
        ])
        func proxyThatFails(_ bad: BadProxy) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let proxy = try scenario.startDiscovery(["-connect-proxy"])
                if bad.mode == "down" { proxy.crash() } else { try proxy.command("proxy_mode", ["mode": bad.mode]) }
                let agent = try scenario.startAgent([
                    "transfer": ["proxy": "http://\(proxy.address)"], "timeouts": ["connect": "300ms"],
                ])
                try agent.wait(for: "cannot use \(server.address): ", count: 3)
                expectAttempts(agent, refused: bad.reason)
                try agent.stop()
                #expect(server.events("connection").count == 0)
            }
        }
    }
}
