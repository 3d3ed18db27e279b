// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Testing

@Suite("PackagedData and records made by the agent")
struct MessagePackagedDataTests {
    let entries = [("comm", "bash"), ("cwd", "/tmp/ü"), ("pid", "")]

    func builder(_ dataType: Int32 = 5050, _ timestamp: Int64 = 1_700_000_000) -> RecordBuilder {
        var builder = RecordBuilder()
        builder.begin(dataType: dataType, timestamp: timestamp)
        for (name, value) in entries { builder.append(name, value) }
        return builder
    }

    @Test func builderWritesWhatProtocWrites() throws {
        let record = Record(dataType: 5050, timestamp: 1_700_000_000, payload: Samples.payload(entries))
        let reference = try Protoc.encode("Record", record.text)
        var writer = WireWriter()
        builder().encode(into: &writer)
        #expect(writer.bytes == reference)
        #expect(builder().encodedSize == reference.count)

        writer.removeAll()
        builder().encode(into: &writer, framing: .pipe)
        #expect(writer.bytes == [UInt8(reference.count), 0, 0, 0] + reference)

        writer.removeAll()
        builder().encode(into: &writer, framing: .packaged)
        #expect(writer.bytes == [0x0a, UInt8(reference.count)] + reference)
    }

    @Test(
        arguments: [
            (0, 0, "0800 1000 1a00"), (-1, -1, "08ffffffffffffffffff01 10ffffffffffffffffff01 1a00"),
        ] as [(Int32, Int64, String)]
    )
    func builderWritesEveryField(_ dataType: Int32, _ timestamp: Int64, _ hex: String) throws {
        var builder = builder()
        builder.begin(dataType: dataType, timestamp: timestamp)
        var writer = WireWriter()
        builder.encode(into: &writer)
        #expect(writer.bytes == unhex(hex))
        #expect(builder.encodedSize == writer.bytes.count)
        let expected = Record(dataType: dataType, timestamp: timestamp, payload: Payload())
        #expect(try Protoc.decode("Record", writer.bytes) == expected.text)
    }

    @Test func builderTakesBytes() throws {
        let value: [UInt8] = [0xff, 0, 0x80]
        var builder = RecordBuilder()
        builder.begin(dataType: 1, timestamp: 2)
        builder.append("array", bytes: value)
        builder.append("span", bytes: unsafe value.span.bytes)
        var writer = WireWriter()
        builder.encode(into: &writer)
        let payload = try Record(decoding: writer.bytes).payload
        #expect(payload?["array"] == value)
        #expect(payload?["span"] == value)
        #expect(payload?.entries.count == 2)
    }

    @Test(arguments: [true, false]) func recordsAndHeader(headerFirst: Bool) throws {
        let header = Samples.headers[1]
        var writer = WireWriter()
        if headerFirst { header.encode(into: &writer) }
        builder().encode(into: &writer, framing: .packaged)
        builder(-5, 0).encode(into: &writer, framing: .packaged)
        writer.element(1, [UInt8]())
        if !headerFirst { header.encode(into: &writer) }
        let bytes = writer.bytes

        let message = try PackagedData(decoding: bytes)
        #expect(message.header == header)
        #expect(message.records.map(\.dataType) == [5050, -5, 0])
        #expect(message.records.map(\.timestamp) == [1_700_000_000, 0, 0])
        let first = try Record(decoding: [UInt8](bytes[message.records[0].encoded]))
        #expect(first == Record(dataType: 5050, timestamp: 1_700_000_000, payload: Samples.payload(entries)))
        let data = [UInt8](bytes[message.records[0].data])
        #expect(try Payload(decoding: data) == Samples.payload(entries))
        #expect(message.records[2].data.isEmpty && message.records[2].encoded.isEmpty)
        #expect(try PackagedDataHeader(decoding: bytes) == header)

        var text = TextFormat()
        for record in message.records {
            text.message("records") { text in
                text.number("data_type", record.dataType)
                text.number("timestamp", record.timestamp)
                text.string("data", bytes[record.data])
            }
        }
        header.write(&text)
        #expect(try Protoc.decode("PackagedData", bytes) == text.text)
    }

    /// The length of a spliced record is padded to 3 bytes.
    @Test func paddedRecordLength() throws {
        var writer = WireWriter()
        writer.tag(1, .lengthDelimited)
        writer.paddedVarint(UInt64(builder().encodedSize), width: 3)
        builder().encode(into: &writer)
        #expect(writer.bytes.count == 4 + builder().encodedSize)
        let record = try #require(try PackagedData(decoding: writer.bytes).records.first)
        #expect(record.encoded == 4..<writer.bytes.count)
        #expect(try Protoc.decode("PackagedData", writer.bytes)?.contains("timestamp: 1700000000\n") == true)
    }

    @Test func taskFrame() throws {
        let task = PluginTask(
            dataType: 6000,
            objectName: "baseline",
            data: String(repeating: "d", count: 300),
            token: "t"
        )
        var writer = WireWriter()
        task.encodeFrame(into: &writer)
        let body = try Protoc.encode("PluginTask", task.text)
        #expect(body.count == 0x13f)
        #expect(writer.bytes == [0x3f, 0x01, 0, 0] + body)
    }
}
