// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Testing

@Suite("Wire reader and writer")
struct WireTests {
    @Test(
        arguments: [
            (0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (150, "9601"), (16_383, "ff7f"), (16_384, "808001"),
            (2_097_151, "ffff7f"), (2_097_152, "80808001"), (1 << 32, "8080808010"),
            (1 << 63 - 1, "ffffffffffffffff7f"),
            (1 << 63, "80808080808080808001"), (.max, "ffffffffffffffffff01"),
        ] as [(UInt64, String)]
    )
    func varint(_ value: UInt64, _ hex: String) throws {
        let expected = unhex(hex)
        var writer = WireWriter()
        writer.varint(value)
        #expect(writer.bytes == expected)
        #expect(WireWriter.varintSize(value) == expected.count)

        for width in expected.count...10 {
            writer.removeAll()
            writer.tag(1, .varint)
            writer.paddedVarint(value, width: width)
            #expect(writer.bytes.count == 1 + width)
            #expect(writer.bytes[1..<width].allSatisfy { $0 >= 0x80 } && writer.bytes[width] < 0x80)
            var reader = WireReader(unsafe writer.bytes.span.bytes)
            let field = try #require(try reader.nextField())
            #expect(try reader.uint64(field) == value)
            #expect(reader.position == 1 + width)
        }
    }

    @Test(
        arguments: [(0, 3, "808000"), (1, 3, "818000"), (2_097_151, 3, "ffff7f"), (5, 1, "05")]
            as [(UInt64, Int, String)]
    )
    func paddedVarint(_ value: UInt64, _ width: Int, _ hex: String) {
        var writer = WireWriter()
        writer.paddedVarint(value, width: width)
        #expect(writer.bytes == unhex(hex))
    }

    @Test(arguments: [(1, 1), (15, 1), (16, 2), (2047, 2), (2048, 3), (WireField.largestNumber, 5)])
    func tags(_ number: Int, _ size: Int) throws {
        for type in [WireType.varint, .fixed64, .lengthDelimited, .startGroup, .fixed32] {
            var writer = WireWriter()
            writer.tag(number, type)
            #expect(writer.bytes.count == size && WireWriter.tagSize(number) == size)
            var reader = WireReader(unsafe writer.bytes.span.bytes)
            #expect(try reader.nextField() == WireField(number: number, type: type, offset: 0))
            #expect(try reader.nextField() == nil)
        }
    }

    @Test func everyKindOfValue() throws {
        var writer = WireWriter(reservingCapacity: 64)
        writer.int32(1, -2)
        writer.int64(2, .min)
        writer.tag(3, .fixed32)
        writer.fixed32(0x0102_0304)
        writer.tag(4, .fixed64)
        writer.fixed64(0x0102_0304_0506_0708)
        writer.string(5, "né")
        writer.bytes(6, [1, 2])
        writer.element(7, "")
        let bytes = writer.bytes
        let hex = "08feffffffffffffffff01 1080808080808080808001 1d04030201 210807060504030201 2a036ec3a9 32020102 3a00"
        #expect(bytes == unhex(hex))

        var reader = WireReader(unsafe bytes.span.bytes)
        #expect(try reader.int32(try #require(try reader.nextField())) == -2)
        #expect(try reader.int64(try #require(try reader.nextField())) == .min)
        #expect(try reader.fixed32(try #require(try reader.nextField())) == 0x0102_0304)
        #expect(try reader.fixed64(try #require(try reader.nextField())) == 0x0102_0304_0506_0708)
        #expect(try reader.string(try #require(try reader.nextField())) == "né")
        #expect(try reader.bytes(try #require(try reader.nextField())) == [1, 2])
        #expect(try reader.range(try #require(try reader.nextField())) == bytes.count..<bytes.count)
        #expect(try reader.nextField() == nil)
    }

    @Test func defaultsAreLeftOut() {
        var writer = WireWriter()
        writer.int32(1, 0)
        writer.int64(2, 0)
        writer.string(3, "")
        writer.bytes(4, [])
        #expect(writer.bytes.isEmpty)
        #expect(WireWriter.int64Size(1, 0) == 0 && WireWriter.stringSize(1, "") == 0)
    }

    @Test func writerKeepsItsMemory() {
        var writer = WireWriter(reservingCapacity: 1000)
        let capacity = writer.bytes.capacity
        #expect(capacity >= 1000)
        writer.element(1, [UInt8](repeating: 7, count: 900))
        writer.removeAll()
        #expect(writer.bytes.isEmpty && writer.bytes.capacity == capacity)
    }

    /// Ranges and offsets in a part count from the start of the whole.
    @Test func readerOfAPart() throws {
        let bytes = unhex("ffff 0801 120161 ff")
        var reader = WireReader(unsafe bytes.span.bytes, in: 2..<7)
        let first = try #require(try reader.nextField())
        #expect(first == WireField(number: 1, type: .varint, offset: 2))
        try reader.skip(first)
        #expect(try reader.range(try #require(try reader.nextField())) == 6..<7)
        #expect(try reader.nextField() == nil)

        var cut = WireReader(unsafe bytes.span.bytes, in: 4..<6)
        let field = try #require(try cut.nextField())
        #expect(reading { () throws(WireError) in try cut.skip(field) } == .truncated(at: 5))
        var empty = WireReader(unsafe bytes.span.bytes, in: 8..<8)
        #expect(try empty.nextField() == nil)
    }

    @Test func fixedValuesCutShort() throws {
        for (hex, error) in [("0d010203", WireError.truncated(at: 1)), ("0801", .wireType(at: 0))] {
            let bytes = unhex(hex)
            var reader = WireReader(unsafe bytes.span.bytes)
            let field = try #require(try reader.nextField())
            #expect(reading { () throws(WireError) in _ = try reader.fixed32(field) } == error)
        }
        for (hex, error) in [("0901020304050607", WireError.truncated(at: 1)), ("0801", .wireType(at: 0))] {
            let bytes = unhex(hex)
            var reader = WireReader(unsafe bytes.span.bytes)
            let field = try #require(try reader.nextField())
            #expect(reading { () throws(WireError) in _ = try reader.fixed64(field) } == error)
        }
    }

    private func reading(_ body: () throws(WireError) -> Void) -> WireError? {
        do throws(WireError) {
            try body()
            return nil
        } catch {
            return error
        }
    }
}
