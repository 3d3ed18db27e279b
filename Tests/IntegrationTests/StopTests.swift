// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// SIGTERM: plugins end first, then the queue, then the stream.
extension Integration {
    @Suite struct Stopping {
        private static let short: Settings = ["timeouts": ["plugin_drain": "300ms", "plugin_term": "300ms"]]

        struct Stubbornness: CustomTestStringConvertible, Sendable {
            var mode: String
            var end: String
            var testDescription: String { mode }
        }

        @Test(arguments: [
            Stubbornness(mode: "normal", end: "exit code 0"),
            Stubbornness(mode: "ignore-term", end: "exit code 0"),
            Stubbornness(mode: "ignore-eof", end: "signal 15"),
            Stubbornness(mode: "ignore-eof,ignore-term", end: "signal 9"),
        ])
        func endsThePlugin(_ stubbornness: Stubbornness) throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["mode": stubbornness.mode, "count": 1000])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(Self.short)
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                #expect(kill(pid, 0) != 0)
                #expect(agent.messages(with: "plugin has ended: ").allSatisfy { $0.contains(stubbornness.end) })
                #expect(agent.messages(with: "plugin has ended: ").count == 1)
                #expect(try server.stats().lanes["writer"] == .complete(1000))
            }
        }

        /// Even with a process left behind that holds the record pipe for half a minute.
        @Test func isNotHeldUpByAGrandchild() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["mode": "grandchild", "count": 1000])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                _ = try writer.waitUntilDone(state: scenario.state)
                // Far less than the grandchild's 30 s, and than the 10 s that a plugin may take.
                try agent.stop(seconds: 5)
                try scenario.expectEverythingDelivered(agent, server)
            }
        }

        /// A plugin that goes on writing until it sees the end, and takes its time to end.
        @Test func lastRecordsArrive() throws {
            try Scenario.run { scenario in
                for index in 1...3 {
                    try scenario.addWriter("w\(index)", ["rate": 20_000, "seconds": 600, "exit_delay_ms": 200 * index])
                }
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try eventually("records of all", state: scenario.state) {
                    try (server.stats().lanes.values.count { $0.count > 2000 } == 3).asAnswer
                }
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
            }
        }

        /// A second signal does not wait for anybody.
        @Test func secondSignalEndsAtOnce() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["mode": "ignore-eof,ignore-term", "count": 1])
                _ = try scenario.startServer()
                let agent = try scenario.startAgent()
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                _ = try writer.waitUntilDone(state: scenario.state)
                agent.signal(SIGINT)
                try agent.wait(for: "the agent stops: signal 2")
                agent.signal(SIGTERM)
                #expect(try agent.waitForExit(seconds: 5) == .code(0))
                try eventually("the plugin's end") { (kill(pid, 0) != 0).asAnswer }
            }
        }

        /// No server at all: what cannot be sent is spooled, and counted.
        @Test func withoutAServer() throws {
            try Scenario.run { scenario in
                _ = try scenario.addWriter("writer", ["count": 1000])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try agent.wait(for: "plugin has been loaded")
                try server.command("refuse", ["on": true])
                try server.command("disconnect")
                _ = try scenario.plugins[0].waitUntilDone(state: scenario.state)
                try server.wait(for: "connection_refused")
                try agent.stop()
                let ledger = try agent.ledger()
                #expect(ledger.isBalanced && ledger.queued == 0 && ledger.inFlight == 0, "\(ledger)")
                #expect(ledger.dropped.keys.allSatisfy { $0 == "superseded" }, "\(ledger)")
            }
        }
    }
}
