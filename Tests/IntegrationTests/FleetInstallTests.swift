// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Many large components at once, while records flow.
extension Integration {
    @Suite(.alone) struct ManyInstalls {
        @Test func twentyOfTwentyMegabytes() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let writer = try scenario.addWriter("writer", ["rate": 20_000, "seconds": 600])
                let components = try (0..<20).map { index in
                    try TestComponent(
                        writer: "p\(index)",
                        "1.0.0.1",
                        settings: ["lane": "p\(index)", "rate": 500, "seconds": 600],
                        size: 20 << 20,
                        at: web
                    )
                }
                let agent = try scenario.startAgent(Installing.with(["plugin_drain": "5s"]))
                try agent.wait(for: "get connection successfully")
                let own = writer.configuration
                try server.command("config", ["configs": [own]])
                try agent.wait(for: "plugin has been loaded")
                try eventually("records", state: scenario.state) { try (server.stats().records > 10_000).asAnswer }
                let before = try Self.longestTurn(agent)
                let start = ContinuousClock.now
                try server.command("config", ["configs": [own] + components.map(\.configuration)])
                try agent.wait(for: "plugin has been loaded", count: 21, seconds: 120)
                let seconds = ContinuousClock.now - start
                try eventually("records of all", state: scenario.state) {
                    let lanes = try server.stats().lanes
                    return (0..<20).allSatisfy { lanes["p\($0)"]?.count ?? 0 > 100 }.asAnswer
                }
                let after = try Self.longestTurn(agent)
                print("20 components of 20 MB: \(seconds), longest turn of the loop \(after) us, \(before) us before")
                try agent.stop()
                #expect(agent.problems.isEmpty, "\(agent.problems)")
                // Nothing is missing of what any of the 21 has written.
                let lanes = try server.stats().lanes
                for name in ["writer"] + components.map(\.name) {
                    let summary = decoded(TestPlugin.Summary.self, from: scenario.file("writer-summary.json", of: name))
                    let count = try #require(summary?.lanes[name], "\(name) left no summary")
                    #expect(lanes[name] == .complete(count), "\(name)")
                }
                try agent.ledger().expectBalanced()
            }
        }

        /// Microseconds, as the agent says when it is asked for its state.
        private static func longestTurn(_ agent: AgentRun) throws -> Int {
            _ = try agent.askForState()
            let line = try agent.wait(for: "longest turn ").last ?? ""
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "turn") else { return -1 }
            return Int(words[index + 1]) ?? -1
        }
    }
}
