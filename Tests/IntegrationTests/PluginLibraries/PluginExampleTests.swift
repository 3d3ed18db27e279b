// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The four examples, and a plugin that writes odd records, with the agent and a server that is not ours.
extension Integration {
    @Suite struct PluginExamples {
        @Test func allAtOnce() throws {
            try Scenario.run { scenario in
                for language in PluginLanguage.allCases {
                    try scenario.addProgram("loadavg-\(language)", try language.example())
                }
                let writer = try scenario.addWriter("odd", ["mode": "odd", "count": 20_800, "chunk": 1000, "seed": 1])
                let server = try scenario.startServer(["-report", "7200,7201,7202,7203,5100"])
                let agent = try scenario.startAgent(["plugins": ["high_priority_pipe": "on"]])
                try agent.wait(for: "plugin has been loaded", count: 5)
                for (number, language) in PluginLanguage.allCases.enumerated() {
                    let name = "loadavg-\(language)"
                    for (dataType, data) in [(7201, "hello \(language)"), (7202, "100"), (7202, "soon"), (9, "")] {
                        try server.command(
                            "task",
                            ["object_name": name, "data_type": dataType, "token": "\(number)-\(data)", "data": data]
                        )
                    }
                }
                let answers = try Self.wait(for: 16, scenario, server) { $0["fields"]["token"].string != nil }
                func fields(_ token: String) -> [String?] {
                    let answer = answers.first { $0["fields"]["token"].string == token }
                    return ["status", "msg", "language"].map { answer?["fields"][$0].string }
                }
                for (number, language) in PluginLanguage.allCases.enumerated() {
                    #expect(
                        fields("\(number)-hello \(language)") == ["succeed", "hello \(language)", language.rawValue]
                    )
                    #expect(fields("\(number)-100") == ["succeed", "interval is 100 ms", nil])
                    #expect(fields("\(number)-soon").first == "failed")
                    #expect(fields("\(number)-") == ["failed", "unknown data type 9", nil])
                }
                // Some of the ordinary ones, now ten times a second.
                _ = try Self.wait(for: 40, scenario, server) { $0["data_type"].int == 7200 }
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                let last = try Self.wait(for: 4, scenario, server) { $0["data_type"].int == 7203 }
                let sent = last.compactMap { $0["fields"]["sent"].string.flatMap { Int($0) } }.reduce(0, +)
                #expect(server.events("record").count { $0["data_type"].int == 7200 } == sent)
                let stats = try server.stats()
                for (lane, count) in try #require(writer.summary).lanes {
                    #expect(stats.lanes[lane] == .complete(count))
                }
                let ledger = try agent.ledger()
                let arrived = stats.records + stats.heartbeats + stats.pluginHeartbeats
                #expect(ledger.isBalanced && ledger.confirmed == ledger.received && arrived == ledger.confirmed)
            }
        }

        private static func wait(
            for count: Int,
            _ scenario: Scenario,
            _ server: InteropServer,
            _ isMeant: (JSON) -> Bool
        ) throws -> [JSON] {
            try eventually("\(count) records", seconds: 60, state: scenario.state) {
                let found = server.events("record").filter(isMeant)
                return found.count >= count ? found : nil
            }
        }
    }
}
