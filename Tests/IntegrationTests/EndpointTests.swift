// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Which servers are tried, in which order, and how they are found.
extension Integration {
    @Suite struct Endpoints {
        // MARK: Order

        /// The lowest weight first, who has not registered for long last; then private, then public addresses.
        @Test func orderOfAttempts() throws {
            try Scenario.run { scenario in
                let dead = try deadEndpoints(6)
                let discovery = try scenario.startDiscovery()
                let ports = dead.compactMap { Int($0.split(separator: ":")[1]) }
                try discovery.register([
                    .init(port: ports[2], weight: 900), .init(port: ports[3], weight: 0, status: 4),
                    .init(port: ports[0], weight: 3), .init(port: ports[1], weight: 20),
                ])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(
                    region(discovery: [discovery.address], private: [dead[4], dead[5]], public: [server.address])
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode public")
                let attempts = agent.messages(with: "cannot use ")
                #expect(attempts.count == dead.count)
                for (attempt, address) in zip(attempts, dead) {
                    #expect(attempt.hasPrefix("cannot use \(address): "), "\(attempts)")
                    #expect(attempt.contains("Connection refused"))
                }
                #expect(agent.messages(with: "next attempt in ") == [], "no pause within a round")
                try agent.stop()
            }
        }

        /// A dead address in front is passed over, and the heartbeat says how the server was found.
        @Test(arguments: ["sd", "private", "public"])
        func mode(_ mode: String) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let dead = try deadEndpoints(1)[0]
                let discovery = try scenario.startDiscovery()
                let pair = [dead, server.address]
                let section: Settings
                switch mode {
                case "sd":
                    let port = Int(dead.split(separator: ":")[1]) ?? 0
                    try discovery.register([.init(server, weight: 2), .init(port: port, weight: 1)])
                    section = region(discovery: [discovery.address])
                case "private": section = region(discovery: [discovery.address], private: pair)
                default: section = region(discovery: [discovery.address], private: [dead], public: [server.address])
                }
                let agent = try scenario.startAgent(section)
                try agent.wait(for: "get connection successfully: idc default,region default,netmode \(mode)")
                try server.wait(for: "heartbeat")
                #expect(server.networkModes == [mode])
                #expect(agent.messages(with: "cannot use \(dead): ").count == 1)
                #expect(discovery.events("request").count == 1)
                try agent.stop()
            }
        }

        @Test func localhostIsAName() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let discovery = try scenario.startDiscovery()
                let names = [discovery.port, server.port].map { "localhost:\($0)" }
                let agent = try scenario.startAgent(region(discovery: [names[0]], private: [names[1]]))
                try agent.wait(for: "get connection successfully: idc default,region default,netmode private")
                #expect(try discovery.wait(for: "request").first?["host"].string == names[0])
                try agent.stop()
            }
        }

        @Test(.enabled(if: hasIPv6Loopback, "this host has no ::1"))
        func internetProtocolVersion6() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer(["-listen", "[::1]:0"])
                let discovery = try scenario.startDiscovery(["-listen", "[::1]:0"])
                #expect(server.address.hasPrefix("[::1]:"))
                try discovery.register([.init(ip: "::1", port: server.port)])
                let agent = try scenario.startAgent(region(discovery: [discovery.address], private: [server.address]))
                try agent.wait(for: "get connection successfully: idc default,region default,netmode sd")
                #expect(try discovery.wait(for: "request").first?["host"].string == discovery.address)
                try discovery.answer("500")
                try server.command("end")
                try agent.wait(for: "get connection successfully: idc default,region default,netmode private")
                try agent.stop()
            }
        }

        // MARK: Service Discovery

        @Test func request() throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1)
                let agent = try cluster.startAgent()
                let request = try #require(try cluster.discovery.wait(for: "request").first)
                #expect(request["method"].string == "GET")
                #expect(request["path"].string == "/registry/detail")
                let query = Set(request["query"].string?.split(separator: "&") ?? [])
                #expect(query.contains("name=hids_svr_grpc"), "\(query)")
                #expect(request["host"].string == cluster.discovery.address)
                #expect(request["user_agent"].string?.hasPrefix("elkeid-agent") == true, "\(request)")
                #expect(request["proxy"].int == 0 && request["credentials"].string == "")
                try agent.wait(for: "netmode sd")
                try agent.stop()
            }
        }

        @Test(arguments: ["normal", "chunked", "slow"])
        func answer(_ mode: String) throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1)
                // More than fits into one buffer; entries that cannot be used at all, and some that are red.
                let odd = [
                    InteropDiscovery.Entry(ip: "", port: 1), .init(port: 0), .init(port: 70_000), .init(port: -1),
                    .init(ip: "not an address", port: 6751), .init(ip: "127.0.0.1\r\nX: y", port: 6751),
                ]
                let red = (1...(mode == "slow" ? 1 : 60)).map { InteropDiscovery.Entry(port: $0, status: 4) }
                try cluster.discovery.register([.init(cluster.servers[0], weight: 1)] + odd + red)
                try cluster.discovery.answer(mode, delayMilliseconds: 1)
                let agent = try cluster.startAgent()
                try agent.wait(for: "get connection successfully: idc default,region default,netmode sd")
                try agent.stop()
            }
        }

        struct BadAnswer: CustomTestStringConvertible, Sendable {
            var mode: String
            /// In the line of the log.
            var reason = "service discovery at "
            var testDescription: String { mode }
        }

        /// Whatever is wrong with it, it is named in one line, and the private address is used.
        @Test(arguments: [
            BadAnswer(mode: "down", reason: "Connection refused"), BadAnswer(mode: "500", reason: "500"),
            BadAnswer(mode: "404", reason: "404"), BadAnswer(mode: "redirect", reason: "302"),
            BadAnswer(mode: "html"), BadAnswer(mode: "garbage"),
            BadAnswer(mode: "no-data"), BadAnswer(mode: "never"),
            BadAnswer(mode: "too-slow"), BadAnswer(mode: "close"),
            BadAnswer(mode: "close-mid-body"), BadAnswer(mode: "huge"),
            BadAnswer(mode: "empty"),
        ])
        func badAnswer(_ answer: BadAnswer) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let discovery = try scenario.startDiscovery()
                if answer.mode != "empty" { try discovery.register([.init(server)]) }
                let (dead, known) = (try deadEndpoints(1)[0], discovery.address)
                switch answer.mode {
                case "down", "empty": break
                // Each byte comes well within the limit, the whole answer does not.
                case "too-slow": try discovery.answer("slow", delayMilliseconds: 20)
                default: try discovery.answer(answer.mode)
                }
                let address = answer.mode == "down" ? dead : known
                let agent = try scenario.startAgent(
                    region(discovery: [address], private: [server.address])
                        .merging(["timeouts": ["discovery": "300ms"]]) { $1 }
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode private")
                let lines = agent.messages(with: "service discovery at \(address)")
                #expect(lines.count == 1 && lines[0].contains(answer.reason), "\(lines)")
                print("\(answer.mode): \(lines.first ?? "")")
                try agent.stop()
                #expect(server.events("stream_opened").count == 1)
            }
        }

        @Test func secondDiscoveryIsAskedWhenTheFirstFails() throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1)
                let broken = try scenario.startDiscovery()
                try broken.answer("500")
                let dead = try deadEndpoints(1)[0]
                let agent = try scenario.startAgent(
                    region(discovery: [dead, broken.address, cluster.discovery.address])
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode sd")
                for address in [dead, broken.address] {
                    #expect(agent.messages(with: "service discovery at \(address)").count == 1)
                }
                #expect(broken.events("request").count == 1 && cluster.discovery.events("request").count == 1)
                try agent.stop()
            }
        }

        // MARK: The region

        /// The agent lives and says what to do; the mended file needs no restart.
        @Test func unknownRegion() throws {
            try Scenario.run { scenario in
                let plugin = try scenario.addWriter("writer", ["count": 10])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["agent": ["region": "nowhere"]])
                try agent.wait(for: " runs")
                try agent.wait(for: "nowhere")
                try agent.waitUntilQuiet()
                let problems = agent.problems
                #expect(problems.count == 1, "\(problems)")
                let line = problems.first ?? ""
                #expect(line.contains("nowhere") && line.contains("region"), "\(line)")
                print(line)
                try agent.reload(
                    AgentRun.configuration(
                        in: scenario.folder.path,
                        endpoints: [server.address],
                        certificates: ClientCertificates(.ordinary),
                        settings: [:]
                    )
                )
                try agent.wait(for: "get connection successfully: idc default,region default,netmode private")
                _ = try plugin.waitUntilDone(state: scenario.state)
                #expect(agent.isRunning)
                try agent.stop()
            }
        }

        static let hasIPv6Loopback: Bool = {
            let descriptor = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { return false }
            defer { close(descriptor) }
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_addr = in6addr_loopback
            return unsafe withUnsafeBytes(of: &address) { bytes in
                guard let base = bytes.baseAddress else { return false }
                return unsafe bind(
                    descriptor,
                    base.assumingMemoryBound(to: sockaddr.self),
                    socklen_t(MemoryLayout<sockaddr_in6>.size)
                ) == 0
            }
        }()
    }
}
