// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Plugins that write what they should not.
extension Integration {
    @Suite struct MalformedFrames {
        /// Each of 17 kinds of malformed frame between good ones.
        @Test(arguments: [0, 5, 4000])
        func areDroppedAndCounted(chunk: Int) throws {
            try Scenario.run { scenario in
                let count = chunk == 5 ? 1000 : 20_000
                let writer = try scenario.addWriter(
                    "bad",
                    ["mode": "malformed", "every": 10, "count": count, "chunk": chunk]
                )
                try scenario.addWriter("good", ["count": 20_000])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                for plugin in scenario.plugins { _ = try plugin.waitUntilDone(state: scenario.state) }
                try agent.wait(for: "plugin bad wrote ")
                let early = agent.messages(with: "malformed records").count
                try agent.stop()
                #expect(writer.summary?.malformed == count / 10)
                try scenario.expectEverythingDelivered(agent, server)
                #expect(early == 1, "one line a minute")
                #expect(agent.problems.allSatisfy { $0.contains("plugin bad wrote ") }, "\(agent.problems)")
            }
        }

        /// Half a frame at the end is malformed too: it is counted, not sent.
        @Test func halfFrameAtTheEnd() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("half", ["mode": "half-frame", "count": 100])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                #expect(try server.stats().lanes["half"] == .complete(100))
                let ledger = try agent.ledger()
                #expect(ledger.isBalanced && ledger.malformed == 1, "\(ledger)")
                #expect(agent.messages(with: "plugin half wrote 1 malformed records").count == 1)
            }
        }

        /// A length over 8 MiB: the stream is lost. That plugin is stopped and started again; the others notice nothing.
        @Test(arguments: [8_388_609, 4_294_967_295])
        func hugeLengthStopsThatPlugin(length: Int) throws {
            try Scenario.run { scenario in
                let bad = try scenario.addWriter(
                    "bad",
                    ["mode": "huge-length", "huge_length": length, "count": 100, "lane": "bad-%p"]
                )
                let good = try scenario.addWriter("good", ["rate": 5000, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent([
                    "timeouts": ["plugin_restart_min": "100ms", "plugin_restart_max": "200ms"]
                ])
                let pid = try good.waitForLaunch(state: scenario.state).pid
                let reasons = try agent.wait(for: "plugin bad is stopped and started again: ", count: 3)
                #expect(reasons.allSatisfy { $0.contains("\(length)") }, "\(reasons)")
                #expect(good.launch?.pid == pid)
                #expect(kill(pid, 0) == 0)
                try agent.stop()
                let stats = try server.stats()
                #expect(stats.lanes["good"] == .complete(good.summary?.records ?? -1))
                let lanes = stats.lanes.filter { $0.key.hasPrefix("bad-") }
                #expect(lanes.count >= 3, "a lane for each start")
                #expect(lanes.values.allSatisfy { $0 == .complete(100) }, "what came before the end of the stream")
                #expect(bad.launch != nil)
                let ledger = try agent.ledger()
                #expect(ledger.isBalanced && ledger.dropped.isEmpty, "\(ledger)")
            }
        }

        /// 8 MiB are legal: such a record travels alone. Memory for two of them, or each would wait for a PING.
        @Test func largestRecord() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("large", ["record_size": 8 << 20, "count": 5])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["spool": ["memory": "32MiB"]])
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                #expect(try server.stats().largestMessage < 9 << 20)
            }
        }

        /// A plugin that ends by itself is started again, after a pause, and the agent says how it ended.
        @Test func crashIsFollowedByAStart() throws {
            try Scenario.run { scenario in
                try scenario.addWriter("crash", ["mode": "crash", "exit_code": 3, "count": 500, "lane": "crash-%p"])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent([
                    "timeouts": ["plugin_restart_min": "50ms", "plugin_restart_max": "100ms"]
                ])
                try agent.wait(for: "plugin ended unexpectedly: exit code 3", count: 4)
                try agent.stop()
                let lanes = try server.stats().lanes.values
                #expect(lanes.count >= 4)
                #expect(lanes.dropLast().allSatisfy { $0 == .complete(500) || $0.count < 500 })
                #expect(lanes.allSatisfy { $0.missing == 0 && $0.duplicates == 0 && $0.reordered == 0 })
                let ledger = try agent.ledger()
                #expect(ledger.isBalanced && ledger.dropped.isEmpty && ledger.malformed == 0, "\(ledger)")
            }
        }
    }
}
