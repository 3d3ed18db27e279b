// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Testing

@Suite("Messages against protoc, both directions")
struct MessageProtocTests {
    func compare<Message: TextMessage>(_ message: Message) throws {
        let reference = try Protoc.encode(Message.protoName, message.text)
        #expect(message.encoded() == reference, "\(message.text)")
        #expect(message.encodedSize == reference.count)
        #expect(try Message(decoding: reference) == message)
        #expect(try Protoc.decode(Message.protoName, message.encoded()) == message.text)
    }

    @Test(arguments: Samples.tasks) func task(_ message: PluginTask) throws { try compare(message) }
    @Test(arguments: Samples.configs) func config(_ message: PluginConfig) throws { try compare(message) }
    @Test(arguments: Samples.commands) func command(_ message: Command) throws { try compare(message) }
    @Test(arguments: Samples.requests) func request(_ message: FileUploadRequest) throws { try compare(message) }
    @Test(arguments: Samples.responses) func response(_ message: FileUploadResponse) throws { try compare(message) }
    @Test(arguments: Samples.headers) func header(_ message: PackagedDataHeader) throws { try compare(message) }
    @Test(arguments: Samples.records) func record(_ message: Record) throws { try compare(message) }

    @Test func valuesThatAreNotUTF8AreKept() throws {
        let entries = [
            Payload.Entry(name: [0xff, 0x00], value: [0xc3, 0x28, 0x80]), .init(name: [0x61], value: [0xed]),
        ]
        let record = Record(dataType: 59, timestamp: 2, payload: Payload(entries: entries))
        let reference = try Protoc.encode("RawRecord", record.text)
        #expect(record.encoded() == reference)
        #expect(try Record(decoding: reference) == record)
    }

    /// What protoc makes of several occurrences of a field, and what we make of them.
    @Test(arguments: [
        // Scalars: the last one wins, also when it is the default.
        ("agent_ctrl twice", "0801 0802"),
        ("agent_ctrl set, then 0", "0801 0800"),
        // The embedded task merges: each of its fields is replaced only when it occurs again.
        ("task twice, different fields", "1202 0805 1203 120161"),
        ("task twice, same field", "1206 0805 2202 6162 1203 220163"),
        ("task, then an empty task", "1202 0805 1200"),
        ("task around configs", "1203 120161 1a03 0a0178 1203 1a0162 1a03 0a0179"),
        ("name twice within a config", "1a06 0a0178 0a0179"),
        ("urls interleaved", "1a0c 320161 0a0178 320162 320163"),
        // int32 takes the low 32 bits.
        ("agent_ctrl 2^32 + 5", "0885 8080 8010"),
        ("agent_ctrl 2^31", "0880 8080 8008"),
        ("agent_ctrl -1 in 5 bytes", "08ff ffff ff0f"),
        ("agent_ctrl -1 in 10 bytes", "08ff ffff ffff ffff ffff 01"),
        // Padded varints, in a value, a length and a tag.
        ("padded value", "0881 8080 00"),
        ("padded length", "1282 8000 0805"),
        ("padded tag", "8880 8000 01"),
    ]) func repeatedAndPadded(_ name: String, _ hex: String) throws {
        let bytes = unhex(hex)
        let text = try #require(try Protoc.decode("Command", bytes), "\(name)")
        #expect(try Command(decoding: bytes).text == text, "\(name)")
    }

    @Test(arguments: [
        ("empty", "", Command()),
        ("every wire type", "20ff01 2d01020304 310102030405060708 3a0161 43 0801 44 0801", Command(agentControl: 1)),
        ("group within a group", "23 2b 2c 24 0802", Command(agentControl: 2)),
        ("largest number", "f8ffffff0f01 0803", Command(agentControl: 3)),
        (
            "in the task", "1206 f80101 220174",
            Command(task: PluginTask(dataType: 0, objectName: "", data: "", token: "t"))
        ),
    ]) func unknownFieldsArePassedOver(_ name: String, _ hex: String, _ expected: Command) throws {
        #expect(try Command(decoding: unhex(hex)) == expected, "\(name)")
        #expect(try Protoc.decode("Command", unhex(hex)) != nil, "\(name): protoc refuses it, the test is wrong")
    }

    /// A second payload merges into the first as a `Record`, and replaces it as an `EncodedRecord`.
    @Test func payloadTwice() throws {
        let bytes = unhex("0801 1a080a060a01611201 78 1a080a060a0162120179")
        let record = try Record(decoding: bytes)
        #expect(try Protoc.decode("Record", bytes) == record.text)
        #expect(record.payload == Samples.payload([("a", "x"), ("b", "y")]))

        let message = unhex("0a16") + bytes
        let encoded = try #require(try PackagedData(decoding: message).records.first)
        #expect([UInt8](message[encoded.data]) == unhex("0a060a0162120179"))
        let text = try #require(try Protoc.decode("PackagedData", message))
        #expect(text.contains("data: \"\\n\\006\\n\\001b\\022\\001y\"\n"))
    }

    /// protoc prints the entries of a map as they came; what reads the map takes the last of a name.
    @Test(arguments: [
        ("name twice", "0801 1a10 0a060a0161120178 0a060a0161120179", [("a", "x"), ("a", "y")]),
        ("empty entry, value only", "1a07 0a00 0a03120176", [("", ""), ("", "v")]),
        ("value first, name twice", "1a0b 0a09 12017a 0a0161 0a0162", [("b", "z")]),
    ])
    func unusualMapEntries(_ name: String, _ hex: String, _ entries: [(String, String)]) throws {
        let record = try Record(decoding: unhex(hex))
        #expect(record.payload == Samples.payload(entries), "\(name)")
        #expect(try Protoc.decode("Record", unhex(hex)) == record.text, "\(name)")
        let last = try #require(entries.last)
        #expect(record.payload?[last.0] == [UInt8](last.1.utf8), "\(name)")
        #expect(record.payload?["absent"] == nil)
    }
}
