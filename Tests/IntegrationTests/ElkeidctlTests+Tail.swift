// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

// `elkeidctl tail`: records as they pass.
extension Integration.ControlTool {
    private struct Shown {
        /// Sequences of the records, and how many were not looked at before each.
        var records: [(sequence: Int, skippedBefore: Int)] = []
        var skipped: Int { records.reduce(0) { $0 + $1.skippedBefore } }

        init(_ lines: [String], lane: String) throws {
            var skipped = 0
            for line in lines {
                let event = try #require(JSON(line: Data(line.utf8)), "\(line)")
                switch event["event"].string {
                case "record":
                    #expect(event["plugin"].string == lane && event["fields"]["lane"].string == lane, "\(line)")
                    records.append((Int(event["fields"]["seq"].string ?? "") ?? -1, skipped))
                    skipped = 0
                case "skipped": skipped += event["records"].int ?? 0
                default: Issue.record("\(line)")
                }
            }
        }

        /// Between two records that are shown there are exactly those that were counted.
        func expectComplete(sourceLocation: SourceLocation = #_sourceLocation) {
            for (earlier, later) in zip(records, records.dropFirst()) {
                let missing = later.sequence - earlier.sequence - 1
                #expect(missing == later.skippedBefore, "after \(earlier.sequence)", sourceLocation: sourceLocation)
            }
        }
    }

    /// All records are shown, and the server has them all the same.
    @Test func tailOfASlowPlugin() throws {
        try Scenario.run { scenario in
            try scenario.addWriter("slow", ["rate": 200, "seconds": 600])
            try scenario.addWriter("other", ["rate": 200, "seconds": 600, "data_type": 60])
            let server = try scenario.startServer()
            let agent = try scenario.startAgent()
            try agent.wait(for: "plugin has been loaded", count: 2)
            let answer = try scenario.elkeidctl.run("tail", "--plugin", "slow", "--json", "--count", "100")
            #expect(answer.exit == .code(0) && answer.errors.isEmpty)
            let shown = try Shown(answer.lines, lane: "slow")
            #expect(shown.records.count == 100 && shown.skipped == 0)
            shown.expectComplete()
            try agent.stop()
            try scenario.expectEverythingDelivered(agent, server)
        }
    }

    @Test func tailOfOneType() throws {
        try Scenario.run { scenario in
            try scenario.addWriter("a", ["rate": 100, "seconds": 600])
            try scenario.addWriter("b", ["rate": 100, "seconds": 600, "data_type": 60])
            _ = try scenario.startServer()
            let agent = try scenario.startAgent(["timeouts": ["heartbeat": "100ms"]])
            try agent.wait(for: "plugin has been loaded", count: 2)
            let ofType = try scenario.elkeidctl.run("tail", "--type", "60", "--json", "--count", "20")
            let shown = try Shown(ofType.lines, lane: "b")
            #expect(shown.records.count == 20)
            shown.expectComplete()

            let all = try scenario.elkeidctl.run("tail", "--json", "--count", "100")
            let plugins = all.lines.compactMap { JSON(line: Data($0.utf8))?["plugin"].string }
            #expect(Set(plugins).isSuperset(of: ["a", "b"]), "\(all)")
            let own = try scenario.elkeidctl.run(
                "tail",
                "--plugin",
                "elkeid-agent",
                "--type",
                "1000",
                "--json",
                "--count",
                "2"
            )
            #expect(own.lines.allSatisfy { $0.contains("\"data_type\":1000") && $0.contains("\"net_mode\"") }, "\(own)")

            let text = try scenario.elkeidctl.run("tail", "--plugin", "a", "--count", "3")
            #expect(text.exit == .code(0) && text.lines.count == 3)
            for line in text.lines {
                #expect(line.contains("  a  59  lane=a  ") && line.contains("  seq="), "\(line)")
                #expect(!line.contains("\u{1b}"), "no colours but on a terminal")
            }
            try agent.stop()
        }
    }

    /// What there is no time for is counted, to the record; the stream to the server has all of it.
    @Test func tailOfAFlood() throws {
        try Scenario.run { scenario in
            try scenario.addWriter("flood", ["seconds": 600, "record_size": 120])
            let server = try scenario.startServer(["-fast"])
            let agent = try scenario.startAgent()
            try agent.wait(for: "plugin has been loaded")
            let count = 15_000
            let answer = try scenario.elkeidctl.run("tail", "--plugin", "flood", "--json", "--count", "\(count)")
            #expect(answer.exit == .code(0) && answer.errors.isEmpty)
            let shown = try Shown(answer.lines, lane: "flood")
            #expect(shown.records.count == count && shown.skipped > count)
            shown.expectComplete()
            print("\(shown.skipped) records were skipped, \(count) shown")
            try agent.stop()
            try scenario.expectEverythingDelivered(agent, server)
        }
    }
}
