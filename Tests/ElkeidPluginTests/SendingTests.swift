// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CAllocationCounter
import ElkeidPlugin
import Testing

/// Several records at once, records that are encoded already, and what a record costs.
@Suite(.timeLimit(.minutes(1)))
struct SendingTests {
    @Test func aRecordForEachElement() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        let counts = try client.send(each: ["a", "b", "c"], dataType: 7, timestamp: 5) { (name, record) in
            record.add("name", name)
        }
        #expect(counts == SendCounts(sent: 3, dropped: 0))
        client.close()
        let records = try decodeRecords(agent.records.readToEnd())
        #expect(records.map { $0.text("name") } == ["a", "b", "c"])
        #expect(records.allSatisfy { $0.dataType == 7 && $0.timestamp == 5 })
    }

    @Test func recordsAsValues() throws {
        let agent = try AgentSide(withHighPriority: true)
        let client = try PluginClient(descriptors: agent.plugin)
        let records = [
            PluginRecord(dataType: -1, timestamp: 2, fields: [("z", "1"), ("a", "2")]),
            PluginRecord(dataType: 3, timestamp: 4),
        ]
        #expect(try client.send(records: records, priority: .high) == SendCounts(sent: 2, dropped: 0))
        client.close()
        #expect(agent.records.readToEnd().isEmpty)
        let first = DecodedRecord(dataType: -1, timestamp: 2, fields: [("z", [0x31]), ("a", [0x32])])
        let second = DecodedRecord(dataType: 3, timestamp: 4)
        #expect(try decodeRecords(agent.highPriorityRecords.readToEnd()) == [first, second])
    }

    /// The buffer is full again and again meanwhile, and still no other thread's record comes in between.
    @Test func noOtherThreadComesInBetween() throws {
        let agent = try AgentSide()
        var options = PluginOptions()
        options.bufferSize = 100
        let client = try PluginClient(descriptors: agent.plugin, options: options)
        let reader = Background { agent.records.readToEnd() }
        let senders = (0..<4 as Range<Int32>).map { (sender) in
            Background {
                (0..<20).allSatisfy { (_) in
                    (try? client.send(each: 0..<50, dataType: sender, timestamp: 1) { $1.add("n", $0) })?.sent == 50
                }
            }
        }
        for sender in senders { #expect(sender.value() == true) }
        client.close()
        let records = try decodeRecords(try #require(reader.value()))
        #expect(records.count == 4 * 20 * 50)
        for start in stride(from: 0, to: records.count, by: 50) {
            let batch = records[start..<(start + 50)]
            #expect(batch.map { $0.text("n") } == (0..<50).map { "\($0)" })
            #expect(Set(batch.map(\.dataType)).count == 1)
        }
    }

    @Test func theFirstRecordThatFailsEndsTheCall() throws {
        let agent = try AgentSide()
        var options = PluginOptions()
        options.maximumRecordSize = 100
        let client = try PluginClient(descriptors: agent.plugin, options: options)
        #expect(throws: PluginError.recordTooLarge(size: 216, limit: 100)) {
            try client.send(each: [1, 2, 200, 3], dataType: 1, timestamp: 1) { (size, record) in
                record.add("k", bytes: [UInt8](repeating: 0, count: size))
            }
        }
        client.close()
        #expect(try decodeRecords(agent.records.readToEnd()).map { $0.fields.first?.value.count } == [1, 2])
    }

    @Test func encodedRecordsGoOutUnchanged() throws {
        let agent = try AgentSide(withHighPriority: true)
        var options = PluginOptions()
        options.maximumRecordSize = 5
        let client = try PluginClient(descriptors: agent.plugin, options: options)
        // Not what the library would write itself, and not even a message.
        #expect(try client.send(encoded: [0x10, 0x01, 0x08, 0x02]) == .sent)
        #expect(try client.send(encoded: [] as [UInt8]) == .sent)
        #expect(try client.send(encoded: [0xFF].span, priority: .high) == .sent)
        #expect(throws: PluginError.recordTooLarge(size: 6, limit: 5)) {
            try client.send(encoded: [UInt8](repeating: 0, count: 6))
        }
        client.close()
        #expect(hex(agent.records.readToEnd()) == "040000001001080200000000")
        #expect(hex(agent.highPriorityRecords.readToEnd()) == "01000000ff")
        #expect(throws: PluginError.closed) { try client.send(encoded: [1]) }
    }

    @Test func noAllocationPerRecord() throws {
        guard CAllocationCounter_isActive() != 0 else { return }
        let agent = try AgentSide()
        let reader = Background { agent.records.readToEnd() }
        let client = try PluginClient(descriptors: agent.plugin)
        let text = String(repeating: "value", count: 10)
        let bytes = [UInt8](repeating: 1, count: 100)
        func sendMany() throws {
            for index in 0..<10_000 {
                try client.send(dataType: 1, timestamp: 1) { (record) in
                    record.add("text", text)
                    record.add("short", "v")
                    record.add("a key that is longer than what fits into a small string", index)
                    record.add("bytes", bytes: bytes)
                }
            }
        }
        try sendMany()
        let before = CAllocationCounter_count()
        try sendMany()
        #expect(CAllocationCounter_count() - before < 10)
        client.close()
        #expect(try decodeRecords(try #require(reader.value())).count == 20_000)
    }
}
