// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Foundation
import Testing

@Suite
struct ReportTests {
    private static func record(_ entries: [(String, [UInt8])]) -> Record {
        Record(
            dataType: 59,
            timestamp: 7,
            payload: Payload(entries: entries.map { Payload.Entry(name: Array($0.0.utf8), value: $0.1) })
        )
    }

    @Test(
        arguments: [
            ([("pid", Array("1".utf8)), ("comm", Array("a b".utf8))], "59 pid=1 comm=\"a b\""),
            ([("empty", [])], "59 empty=\"\""),
            ([("x", [0x1b, 0x5b, 0x32, 0x4a])], "59 x=\\u{1b}[2J"),
            ([("x", [0x0a, 0xff])], "59 x=\\n\u{fffd}"),
            ([("x", Array("a\u{202e}b\u{2028}".utf8))], "59 x=a\\u{202e}b\\u{2028}"),
        ] as [([(String, [UInt8])], String)]
    )
    func recordsAsText(_ entries: [(String, [UInt8])], _ expected: String) {
        #expect(RecordText.line(Self.record(entries), limit: 200) == expected)
        #expect(RecordText.line(Self.record(entries).encoded(), limit: 200) == expected)
    }

    @Test(arguments: [10, 40, 100])
    func linesAreCut(_ limit: Int) {
        let record = Self.record((0..<50).map { ("name\($0)", [UInt8](repeating: 0x61, count: 5000)) })
        let line = RecordText.line(record, limit: limit)
        #expect(line.count == limit)
        #expect(line.hasSuffix("…"))
    }

    @Test
    func recordsAsJSON() throws {
        let bytes = Self.record([("a\"", Array("b\n".utf8)), ("c", [0xff])]).encoded()
        let data = Data(RecordText.json(bytes).text.utf8)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["data_type"] as? Int == 59)
        #expect(object["timestamp"] as? Int == 7)
        #expect(object["fields"] as? [String: String] == ["a\"": "b\n", "c": "\u{fffd}"])
    }

    @Test
    func figuresAsJSONAreOneLineThatParses() throws {
        var statistics = Statistics()
        statistics.records = 30
        statistics.bytes = 3000
        statistics.types = [5050: 20, -1: 10]
        var before = Statistics()
        before.records = 10
        before.bytes = 1000
        let figures = Figures(
            elapsed: 2,
            agents: 1,
            statistics: statistics,
            networkBytes: 5,
            latest: LatestRecord(agentID: "a", bytes: Self.record([]).encoded()),
            before: before,
            seconds: 2
        )
        let text = figures.json.text
        #expect(!text.contains("\n"))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["records"] as? Int == 30)
        #expect(object["records_per_second"] as? Int == 10)
        #expect(object["bytes_per_second"] as? Int == 1000)
        #expect(object["types"] as? [String: Int] == ["5050": 20, "-1": 10])
        #expect((object["last"] as? [String: Any])?["data_type"] as? Int == 59)
        #expect(figures.line(width: 200).hasPrefix("2s  agents 1  records 30 (10/s)"))
        let table = figures.table(columns: 50, rows: 40)
        #expect(table.allSatisfy { $0.count <= 50 })
        #expect(table.contains { $0.hasPrefix("data type 5050") && $0.contains("20") })
    }

    static let ledgers: [(String, UInt64, Bool, String)] = [
        ("{\"received\":1234,\"confirmed\":1234}", 1234, true, "agent received 1,234, center received 1,234, lost 0"),
        ("{\"received\":10}", 9, false, "agent received 10, center received 9, lost 1"),
        ("{\"received\":10,\"malformed\":2}", 8, true, "agent received 10, center received 8, lost 0, malformed 2"),
        ("{\"received\":10,\"resent\":1}", 11, true, "agent received 10, center received 11, lost 0, sent again 1"),
        (" {\"received\" : 10 , \"dropped\" : {\"superseded\":1,\"stopped\":0} }\n", 9, true, "lost 0"),
        ("{\"received\":10,\"dropped\":{\"stopped\":3}}", 7, false, "lost 3"),
        ("{\"received\":0,\"dropped\":{}}", 0, false, "lost 0"),
    ]

    @Test(arguments: ledgers)
    func summaryComparesTheLedger(_ json: String, _ arrived: UInt64, _ good: Bool, _ text: String) throws {
        let summary = Summary(arrived: arrived, agent: try AgentLedger(json: Array(json.utf8)))
        #expect(summary.isGood == good)
        #expect(summary.line.contains(text), "\(summary.line)")
    }

    @Test
    func summaryWithoutAnAgentIsNoSuccess() {
        let summary = Summary(arrived: 5, agent: nil)
        #expect(!summary.isGood)
        #expect(summary.line == "records: center received 5")
    }

    @Test(arguments: [
        "", "{", "[]", "{}", "{\"received\":}", "{\"received\":1.5}", "{\"received\":\"1\"}", "{\"received\":1",
        "{\"received\":1,}", "{\"dropped\":{\"a\":{\"b\":1}},\"received\":1}", "{\"received\":99999999999999999999}",
    ])
    func wrongLedgers(_ json: String) {
        #expect(throws: CenterError.self) { try AgentLedger(json: Array(json.utf8)) }
    }
}
