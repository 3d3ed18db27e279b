// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

// What is wrong between this host and a server.
extension Integration.Doctor {
    static let ofTheWay = [
        Trouble(
            what: "discovery down",
            causes: ["discovery: refused", "servers: no_server"],
            says: "Connection refused",
            server: nil,
            settings: { _ in region(discovery: try deadEndpoints(1)) }
        ),
        Trouble(
            what: "discovery knows no server",
            causes: ["discovery: discovery", "servers: no_server"],
            says: "it knows no server",
            server: nil,
            settings: { region(discovery: [try $0.startDiscovery().address]) }
        ),
        Trouble(
            what: "another web server is at discovery's port",
            causes: ["discovery: discovery", "servers: no_server"],
            says: "404",
            server: nil,
            settings: { scenario in
                let discovery = try scenario.startDiscovery()
                try discovery.answer("404")
                return region(discovery: [discovery.address])
            }
        ),
        Trouble(
            what: "discovery does not answer",
            causes: ["discovery: discovery", "servers: no_server"],
            server: nil,
            settings: { scenario in
                let discovery = try scenario.startDiscovery()
                try discovery.answer("never")
                return region(discovery: [discovery.address])
            }
        ),
        Trouble(
            what: "discovery names a dead server",
            causes: ["server: refused"],
            says: "Connection refused",
            server: nil,
            settings: { scenario in
                let discovery = try scenario.startDiscovery()
                let port = try deadEndpoints(1)[0].split(separator: ":")[1]
                try discovery.register([.init(port: Int(port) ?? 0)])
                return region(discovery: [discovery.address])
            }
        ),
        // Names of this kind are in no name server: the resolver says so itself (RFC 7686 section 2).
        Trouble(
            what: "a name that nobody knows",
            causes: ["server: name"],
            says: "nowhere.onion",
            server: nil,
            settings: { _ in region(private: ["nowhere.onion:6751"]) }
        ),
        Trouble(
            what: "port refused",
            causes: ["server: refused"],
            says: "Connection refused",
            server: nil,
            settings: { _ in region(private: try deadEndpoints(1)) }
        ),
        Trouble(
            what: "the proxy is down",
            causes: ["server: refused"],
            says: "proxy 127.0.0.1:",
            settings: { _ in ["transfer": ["proxy": "http://\(try deadEndpoints(1)[0])"]] }
        ),
        Trouble(
            what: "the proxy wants a password",
            causes: ["server: proxy"],
            says: "407",
            settings: { scenario in
                let proxy = try scenario.startDiscovery(["-connect-proxy", "-proxy-auth", "user:password"])
                return ["transfer": ["proxy": "http://\(proxy.address)"]]
            }
        ),
        Trouble(
            what: "no region",
            causes: ["configuration: configuration", "region: no_region"],
            says: "nowhere",
            settings: { _ in ["agent": ["region": "nowhere"]] }
        ),
        Trouble(
            what: "a region without servers",
            causes: ["configuration: configuration", "region: no_region"],
            says: "has no addresses",
            server: nil
        ),
    ]

    /// What another way makes up for is worth a warning.
    @Test func discoveryDownAndAPrivateServer() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let dead = try deadEndpoints(2)
            try scenario.configure(
                Self.with(region(discovery: [dead[0]], private: [dead[1], server.address]))
            )
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: [Self.down])
            #expect(diagnosis.report.warnings == ["discovery: refused", "server: refused"], "\(diagnosis)")
            let subject = diagnosis.report.all("warning").map(\.subject)
            #expect(subject == ["service discovery \(dead[0])", "server \(dead[1]) (private)"])
            #expect(diagnosis.report.finding("server \(server.address)", "gRPC")?.verdict == "ok", "\(diagnosis)")
        }
    }

    /// A port whose owner takes no connection any more: the kernel drops what comes, as a firewall does.
    @Test func blackHole() throws {
        try Scenario.run { scenario in
            let hole = try FullBacklog()
            defer { hole.close() }
            try scenario.configure(Self.with(region(private: [hole.address])))
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: [Self.down, "server: no_answer"])
        }
    }

    /// TLS that is not for agents, by OpenSSL's own server.
    @Test(arguments: [[], ["-alpn", "http/1.1"]])
    func webServer(options: [String]) throws {
        try Scenario.run { scenario in
            let server = try WebTLSServer(options, in: scenario.folder.path)
            defer { server.end() }
            try scenario.configure(Self.settings, endpoints: [server.address])
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: [Self.down, "server: no_h2"])
        }
    }

    // MARK: Names, and a host without a network

    private static let lonely = "unshare --mount --net needs its rights"

    /// A name server that says no, by dnsmasq.
    @Test(.enabled(if: LonelyHost.isPossible, "\(lonely)"))
    func nameServerDoesNotKnowTheName() throws {
        try Scenario.run { scenario in
            try scenario.configure(Self.with(region(private: ["server.test:6751"])))
            let host = try LonelyHost(in: scenario.folder.path, nameServer: true)
            let diagnosis = try scenario.elkeidctl.doctor(launcher: host.launcher)
            diagnosis.expect(bad: [Self.down, "server: name"])
            #expect(diagnosis.report.finding("server", "name")?.text.contains("server.test") == true, "\(diagnosis)")
        }
    }

    /// A name server that cannot be reached.
    @Test(.enabled(if: LonelyHost.isPossible, "\(lonely)"))
    func noNameServer() throws {
        try Scenario.run { scenario in
            try scenario.configure(Self.with(region(private: ["server.test:6751"])))
            let host = try LonelyHost(in: scenario.folder.path, nameServer: false)
            let diagnosis = try scenario.elkeidctl.doctor(launcher: host.launcher)
            diagnosis.expect(bad: [Self.down, "server: name"])
        }
    }

    @Test(.enabled(if: LonelyHost.isPossible, "\(lonely)"))
    func noRoute() throws {
        try Scenario.run { scenario in
            try scenario.configure(Self.with(region(private: ["192.0.2.1:6751"])))
            let host = try LonelyHost(in: scenario.folder.path, nameServer: false)
            let diagnosis = try scenario.elkeidctl.doctor(launcher: host.launcher)
            diagnosis.expect(bad: [Self.down, "server: unreachable"])
        }
    }
}
