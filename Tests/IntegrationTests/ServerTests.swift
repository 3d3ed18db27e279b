// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import Testing

/// Servers that refuse, break or misbehave.
extension Integration {
    @Suite struct Servers {
        @Test func refusedConnection() throws {
            try Scenario.run { scenario in
                let agent = try scenario.startAgent(endpoints: ["127.0.0.1:\(try unusedPort())"])
                try agent.wait(for: "cannot use ", count: 4)
                try agent.stop()
                expectAttempts(agent, refused: "Connection refused")
            }
        }

        @Test func firstAddressRefusesTheSecondIsUsedAtOnce() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let dead = "127.0.0.1:\(try unusedPort())"
                let agent = try scenario.startAgent(endpoints: [dead, server.address])
                try agent.wait(for: "get connection successfully")
                #expect(agent.problems.count == 1)
                #expect(agent.problems.first?.contains(dead) == true)
                #expect(agent.messages(with: "next attempt in ") == [])
                try agent.stop()
            }
        }

        @Test func noAddressAtAll() throws {
            try Scenario.run { scenario in
                let agent = try scenario.startAgent(endpoints: [])
                try agent.wait(for: " runs")
                try agent.stop()
            }
        }

        struct Limit: CustomTestStringConvertible, Sendable {
            var argument: String
            var reason: String
            var testDescription: String { argument }
        }

        /// What Agent Center refuses after the first message of a stream.
        @Test(arguments: [
            Limit(argument: "-conflict", reason: "agentID conflict"),
            Limit(argument: "-full", reason: "out of max connection limit"),
        ])
        func refusedStream(_ limit: Limit) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer([limit.argument])
                let agent = try scenario.startAgent()
                try server.wait(for: "stream_refused", count: 4)
                try agent.stop()
                expectAttempts(agent, refused: limit.reason)
                #expect(server.events("connection").count <= agent.problems.count + 1)
            }
        }

        /// One warning, then without compression, for this server and for good; no record is lost.
        @Test(arguments: ["snappy", "gzip", "zstd"])
        func refusedCompression(name: String) throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["count": 20_000])
                let server = try scenario.startServer(["-refuse-encoding", name])
                let agent = try scenario.startAgent(["transfer": ["compression": name]])
                _ = try writer.waitUntilDone(state: scenario.state)
                try eventually("all records", state: scenario.state) {
                    try (server.stats().records == 20_000).asAnswer
                }
                try server.command("disconnect")
                try server.wait(for: "stream_opened", count: 2)
                try agent.wait(for: "get connection successfully", count: 2)
                try agent.stop()
                #expect(server.events("stream_opened").allSatisfy { $0["encoding"].string == "identity" })
                #expect(agent.problems.filter { $0.contains("does not know compression \(name)") }.count == 1)
                let lane = try server.stats().lanes["writer"]
                #expect(lane?.unique == 20_000 && lane?.missing == 0 && lane?.reordered == 0)
                // What was not confirmed when the connection broke came twice.
                #expect(try lane?.duplicates ?? .max <= agent.ledger().resent)
            }
        }

        // MARK: A stream or connection that ends

        struct Ending: CustomTestStringConvertible, Sendable {
            var command: String
            var code = 0
            var reason: String
            var testDescription: String { "\(command) \(code)" }
        }

        /// The agent connects again, and its plugins notice nothing.
        @Test(arguments: [
            Ending(command: "end", reason: "the server ended the stream"),
            Ending(command: "end", code: 14, reason: "UNAVAILABLE: for a test"),
            Ending(command: "goaway", reason: "the server goes away"),
            Ending(command: "disconnect", reason: "onnection"),
        ])
        func connectsAgain(after ending: Ending) throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["rate": 2000, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                for round in 1...3 {
                    try server.wait(for: "stream_opened", count: round)
                    try agent.wait(for: "get connection successfully", count: round)
                    let before = try server.stats().records
                    try eventually("records in round \(round)", state: scenario.state) {
                        try (server.stats().records > before + 100).asAnswer
                    }
                    if round == 3 { break }
                    try server.command(ending.command, ["code": ending.code, "message": "for a test"])
                }
                if ending.command == "goaway" {
                    // Nothing of the old connection may reach the new one, not even its last deadline (5 s).
                    sleep(6)
                    #expect(server.events("stream_opened").count == 3)
                }
                #expect(writer.launch?.pid == pid)
                #expect(kill(pid, 0) == 0)
                #expect(agent.messages(with: "plugin has been loaded").count == 1)
                try agent.stop()
                #expect(agent.problems.count == 2)
                #expect(agent.problems.allSatisfy { $0.contains(ending.reason) }, "\(agent.problems)")
                let ledger = try agent.ledger()
                #expect(ledger.isBalanced, "\(ledger)")
                // What the kernel had taken may be lost with the connection; an orderly end loses nothing.
                let lane = try #require(try server.stats().lanes["writer"])
                if ending.command == "goaway" { #expect(lane == .complete(writer.summary?.records ?? -1)) }
                #expect(lane.reordered == 0 && lane.invalid == 0)
            }
        }

        /// A server that is away: the plugin goes on, and what it writes meanwhile waits.
        @Test func serverIsAway() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["rate": 1000, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                try agent.wait(for: "get connection successfully")
                try server.command("refuse", ["on": true])
                try server.command("disconnect")
                try server.wait(for: "connection_refused", count: 5)
                try server.command("refuse", ["on": false])
                try agent.wait(for: "get connection successfully", count: 2)
                #expect(writer.launch?.pid == pid)
                try agent.stop()
                let ledger = try agent.ledger()
                #expect(ledger.isBalanced && ledger.dropped.keys.allSatisfy { $0 == "superseded" }, "\(ledger)")
                #expect(server.events("connection_refused").count <= agent.messages(with: "next attempt in ").count)
            }
        }
    }
}

/// A port of this host that refuses connections until whoever asked for it listens there: nobody else is given it, neither
/// by this function nor by the kernel, whose own choice begins at 32768.
func unusedPort() throws -> UInt16 {
    for _ in testPorts {
        let port = lastPort.withLock { last in
            last = last < testPorts.upperBound ? last + 1 : testPorts.lowerBound
            return last
        }
        // A child would keep it.
        if try ChildProcess.withoutStarts({ try isFree(port) }) { return port }
    }
    throw Failure("none of the ports \(testPorts) is free")
}

private let testPorts: ClosedRange<UInt16> = 12_000...31_999
/// Each run begins elsewhere.
private let lastPort = Mutex(testPorts.lowerBound + UInt16(Int(getpid()) % testPorts.count))

private func isFree(_ port: UInt16) throws -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw Failure("no socket") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return unsafe withUnsafeBytes(of: &address) { bytes in
        guard let base = bytes.baseAddress else { return false }
        let pointer = unsafe base.assumingMemoryBound(to: sockaddr.self)
        return unsafe bind(descriptor, pointer, socklen_t(bytes.count)) == 0
    }
}
