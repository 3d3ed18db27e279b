// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Testing

/// What records look like on the pipe.
@Suite(.timeLimit(.minutes(1)))
struct RecordTests {
    private func sent(
        options: PluginOptions = PluginOptions(),
        _ body: (PluginClient) throws -> Void
    ) throws -> [UInt8] {
        let agent = try AgentSide()
        let reader = Background { agent.records.readToEnd() }
        let client = try PluginClient(descriptors: agent.plugin, options: options)
        try body(client)
        client.close()
        return try #require(reader.value())
    }

    /// Expected bytes are those of `protoc --encode`.
    @Test(
        arguments: [
            (5050, 1_700_000_000, ["pid": "1"], "1500000008ba271080e2cfaa061a0a0a080a03706964120131"),
            (-1, -2, ["k": ""], "1f00000008ffffffffffffffffff0110feffffffffffffffff011a070a050a016b1200"),
            (.max, .max, [:], "1200000008ffffffff0710ffffffffffffffff7f1a00"),
            (0, 0, [:], "020000001a00"),
        ] as [(Int32, Int64, [String: String], String)]
    )
    func encoding(dataType: Int32, timestamp: Int64, fields: [String: String], expected: String) throws {
        let bytes = try sent { try $0.send(dataType: dataType, timestamp: timestamp, fields: fields) }
        #expect(hex(bytes) == expected)
    }

    /// Sizes around the steps of the lengths' own sizes; expected beginnings are those of `protoc --encode`.
    @Test(arguments: [
        (113, "7e000000083b10051a780a760a016b1271"), (119, "84000000083b10051a7e0a7c0a016b1277"),
        (120, "85000000083b10051a7f0a7d0a016b1278"), (122, "88000000083b10051a81010a7f0a016b127a"),
        (123, "8a000000083b10051a83010a80010a016b127b"),
        (16370, "02400000083b10051afb7f0af87f0a016b12f27f"), (16374, "06400000083b10051aff7f0afc7f0a016b12f67f"),
        (16375, "08400000083b10051a8080010afd7f0a016b12f77f"), (16380, "0e400000083b10051a8680010a8280010a016b12fc7f"),
    ])
    func lengthSteps(size: Int, beginning: String) throws {
        let value = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        let bytes = try sent { (client) in
            try client.send(dataType: 59, timestamp: 5) { $0.add("k", bytes: value) }
        }
        #expect(hex(bytes) == beginning + hex(value))
    }

    @Test func allKindsOfValues() throws {
        let raw: [UInt8] = [0xFF, 0x00, 0xC3, 0x28]
        let long = [UInt8](repeating: 0xA5, count: 3_000_000)
        let bytes = try sent { (client) in
            try client.send(dataType: 1, timestamp: 2) { (record) in
                record.add("text", "grün")
                record.add("empty", "")
                record.add("zero", 0)
                record.add("smallest", Int64.min)
                record.add("largest", UInt64.max)
                record.add("byte", Int8(-128))
                record.add("raw", bytes: raw)
                record.add("span", bytes: raw.span)
                record.add("a key that is longer than what fits into a small string", "v")
                record.add("long", bytes: long)
            }
        }
        let expected = DecodedRecord(
            dataType: 1,
            timestamp: 2,
            fields: [
                ("text", Array("grün".utf8)), ("empty", []), ("zero", Array("0".utf8)),
                ("smallest", Array("-9223372036854775808".utf8)), ("largest", Array("18446744073709551615".utf8)),
                ("byte", Array("-128".utf8)), ("raw", raw), ("span", raw),
                ("a key that is longer than what fits into a small string", [UInt8(ascii: "v")]), ("long", long),
            ]
        )
        #expect(try decodeRecords(bytes) == [expected])
    }

    @Test func sequencesKeepTheirOrder() throws {
        let fields = [("z", "1"), ("a", "2"), ("m", "3")]
        let records = try decodeRecords(
            try sent { try $0.send(dataType: 1, timestamp: 1, fields: fields.lazy.map { ($0, $1) }) }
        )
        #expect(records.first?.fields.map(\.key) == ["z", "a", "m"])
    }

    @Test func timestampIsTheTimeOfDayByDefault() throws {
        let before = PluginClient.now
        let records = try decodeRecords(try sent { try $0.send(dataType: 1, fields: ["a": "b"]) })
        let timestamp = try #require(records.first?.timestamp)
        #expect((before...PluginClient.now).contains(timestamp))
    }

    @Test func recordOverTheLimitIsRefusedAndTheOthersArrive() throws {
        var options = PluginOptions()
        // tag, length, tag, length, key, tag, length, value: 2 + 2 + 3 + 3 + value, and 4 for type and timestamp.
        options.maximumRecordSize = 1000
        let bytes = try sent(options: options) { (client) in
            try client.send(dataType: 1, timestamp: 1, fields: ["k": "before"])
            let value = [UInt8](repeating: 0, count: 1000 - 16)
            try client.send(dataType: 2, timestamp: 1) { $0.add("k", bytes: value) }
            #expect(throws: PluginError.recordTooLarge(size: 1001, limit: 1000)) {
                try client.send(dataType: 3, timestamp: 1) { $0.add("k", bytes: value + [0]) }
            }
            try client.send(dataType: 4, timestamp: 1, fields: ["k": "after"])
        }
        #expect(try decodeRecords(bytes).map(\.dataType) == [1, 2, 4])
    }

    /// Record sizes from nothing to many times the buffer, in random order, compared with what an independent decoder
    /// reads.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func randomRecords(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        var options = PluginOptions()
        options.bufferSize = 4096
        var expected: [DecodedRecord] = []
        for _ in 0..<300 {
            var record = DecodedRecord()
            record.dataType = Int32(truncatingIfNeeded: generator.next()) >> Int32.random(in: 0...31, using: &generator)
            record.timestamp = Int64(bitPattern: generator.next()) >> Int64.random(in: 0...63, using: &generator)
            for index in 0..<Int.random(in: 0...6, using: &generator) {
                let size = Int.random(in: 0...(1 << Int.random(in: 0...17, using: &generator)), using: &generator)
                let byte = UInt8(truncatingIfNeeded: generator.next())
                record.fields.append(("key\(index)", [UInt8](repeating: byte, count: size)))
            }
            expected.append(record)
        }
        let records = expected
        let bytes = try sent(options: options) { (client) in
            for record in records {
                try client.send(dataType: record.dataType, timestamp: record.timestamp) { (writer) in
                    for (key, value) in record.fields { writer.add(key, bytes: value) }
                }
            }
        }
        #expect(try decodeRecords(bytes) == expected)
    }
}
