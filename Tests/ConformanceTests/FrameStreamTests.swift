// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Conformance
import ElkeidWire
import Testing

@Suite
struct FrameStreamTests {
    /// Type 1, timestamp 7, k = v.
    private static let plain = bytes("08011007 1a080a060a016b120176")

    private static func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    struct Row: Sendable {
        let record: String
        let oddities: Set<RecordOddity>

        init(_ record: String, _ oddities: RecordOddity...) {
            self.record = record
            self.oddities = Set(oddities)
        }
    }

    private static let rows = [
        Row("08011007 1a080a060a016b120176"),
        Row("1007 1a080a060a016b120176", .withoutDataType),
        Row("0801 1a080a060a016b120176", .withoutTimestamp),
        Row("08011007", .withoutPayload),
        Row("", .withoutDataType, .withoutTimestamp, .withoutPayload),
        Row("10070801 1a080a060a016b120176", .otherOrder),
        Row("0802 08011007 1a080a060a016b120176", .repeatedField),
        Row("08011007 1a080a060a016b120176 2001", .unknownField),
        Row("08ffffffff0f1007 1a080a060a016b120176", .dataTypeRange),
        // -1, as it should be.
        Row("08ffffffffffffffffff011007 1a080a060a016b120176"),
        // Milliseconds.
        Row("08011080d095ffbc31 1a080a060a016b120176", .timestampRange),
        Row("08011007 1a050a030a016b", .incompleteEntry),
        Row("08011007 1a080a060a016b120176 1a080a060a016b120176", .repeatedField, .repeatedName),
        Row("08011007 1a070a050a01ff1200", .nameNotText),
        Row("08011007 1a070a050a001201ff", .valueNotText),
        Row("08e8071007 1a080a060a016b120176", .ofTheAgent),
        Row("08f2071007 1a080a060a016b120176", .errorLog),
    ]

    @Test(arguments: rows)
    func oddities(_ row: Row) {
        let record = Self.bytes(row.record)
        let examination = RecordExamination(unsafe record.span.bytes)
        #expect(examination.oddities == row.oddities)
        #expect(examination.defect == nil)
    }

    /// Field 1 as a string, a varint without end, a field past the end, wire type 7, an entry past its payload, and one that
    /// is no message.
    @Test(arguments: ["0a00", "0880", "1a0500", "0f", "1a030a050a", "1a020801"])
    func malformedRecordsAreCountedAndTheStreamGoesOn(_ record: String) {
        var stream = FrameStream()
        _ = stream.feed(TaskFrame.frame(Self.bytes(record)) + TaskFrame.frame(Self.plain))
        #expect(stream.tally.malformed == 1)
        #expect(stream.tally.firstDefect?.isEmpty == false)
        #expect(stream.tally.records == 1)
        #expect(stream.pending == 0)
        #expect(stream.tally.findings.contains { $0.verdict == .fail })
    }

    @Test(arguments: [1, 2, 3, 5, 1000])
    func framesMayBeCutAnywhere(_ size: Int) {
        var builder = RecordBuilder()
        var writer = WireWriter()
        for number in 0..<5 {
            builder.begin(dataType: 9, timestamp: 7)
            builder.append("token", "conformance-\(number)")
            builder.encode(into: &writer, framing: .pipe)
        }
        var stream = FrameStream()
        var tokens: [String] = []
        var rest = writer.bytes[...]
        while !rest.isEmpty {
            tokens += stream.feed(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        #expect(tokens == (0..<5).map { "conformance-\($0)" })
        #expect(stream.tally.types[9]?.count == 5)
        #expect(stream.pending == 0)
        _ = stream.feed([1, 0, 0])
        #expect(stream.pending == 3)
    }

    @Test
    func aLengthAboveTheLimitLosesTheStream() {
        var stream = FrameStream()
        _ = stream.feed([0, 0, 0x80, 0, 0x61])
        #expect(stream.tally.lostAt == nil)
        stream = FrameStream()
        _ = stream.feed([1, 0, 0x80, 0, 0x61])
        #expect(stream.tally.lostAt == 0x80_0001)
        #expect(stream.feed(TaskFrame.frame(Self.plain)).isEmpty)
        #expect(stream.tally.findings.map(\.verdict) == [.fail])
    }

    @Test
    func talliesAddUp() {
        var first = FrameStream()
        _ = first.feed(TaskFrame.frame(Self.plain) + TaskFrame.frame([0x0f]))
        var second = FrameStream()
        _ = second.feed(TaskFrame.frame(Self.plain + [0x20, 0x01]))
        var sum = first.tally
        sum.add(second.tally)
        #expect(sum.records == 2)
        #expect(sum.malformed == 1)
        #expect(sum.largest == Self.plain.count + 2)
        #expect(sum.oddities == [.unknownField: 1])
        #expect(FrameTally().findings.map(\.verdict) == [.skipped])
    }

    @Test
    func tasksInOtherFormsMeanTheSame() throws {
        let task = PluginTask(dataType: -5, objectName: "name", data: "{}", token: "conformance-1")
        for form in [TaskFrame.plain, TaskFrame.withUnknownFields, TaskFrame.inOtherOrder] {
            #expect(try PluginTask(decoding: Array(form(task).dropFirst(4))) == task)
        }
        #expect(throws: WireError.self) { try PluginTask(decoding: Array(TaskFrame.undecodable.dropFirst(4))) }
    }
}
