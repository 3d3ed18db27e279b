// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Reads protobuf fields from a span of bytes, one after the other. Any input gives a value or an error, never a trap.
///
///     var reader = WireReader(bytes)
///     while let field = try reader.nextField() {
///         switch field.number {
///         case 1: dataType = try reader.int32(field)
///         default: try reader.skip(field)
///         }
///     }
///
/// Every tag that `nextField` returns must be followed by exactly one call that takes the field.
/// Offsets and ranges count from the start of the span, also in a reader of a part of it, so that a range found in a
/// nested message can be used with the outermost bytes.
///
/// Choices where implementations differ:
/// - A varint has at most 10 bytes, and the tenth may only be 0 or 1: larger values are refused, as by Go's protowire,
///   where C++ drops the excess bits. Padded varints are accepted in every place, tags and lengths included.
/// - A known field with another wire type than its own is an error, as in gogo/protobuf's generated code, not an unknown
///   field. A `Command` whose configurations were skipped would read as "stop every plugin".
public struct WireReader: ~Escapable {
    /// A group may lie within 99 others. C++'s default limit.
    public static let largestGroupDepth = 100

    private let bytes: RawSpan
    private let end: Int
    /// Where the next read begins.
    public private(set) var position: Int

    /// Reads all of `bytes`.
    @_lifetime(copy bytes)
    public init(_ bytes: RawSpan) {
        self.bytes = bytes
        self.end = bytes.byteCount
        self.position = 0
    }

    /// Reads the part `range`, which must lie within `bytes`.
    @_lifetime(copy bytes)
    public init(_ bytes: RawSpan, in range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "range outside of the span")
        self.bytes = bytes
        self.end = range.upperBound
        self.position = range.lowerBound
    }

    /// The next field's tag, or nil at the end of the message.
    public mutating func nextField() throws(WireError) -> WireField? {
        if position == end { return nil }
        let field = try tag()
        if field.type == .endGroup { throw .unbalancedGroup(at: field.offset) }
        return field
    }

    /// The value of an `int32` field: the low 32 bits of a varint.
    public mutating func int32(_ field: WireField) throws(WireError) -> Int32 {
        Int32(truncatingIfNeeded: try uint64(field))
    }

    /// The value of an `int64` field.
    public mutating func int64(_ field: WireField) throws(WireError) -> Int64 {
        Int64(bitPattern: try uint64(field))
    }

    /// The value of a `uint64` field.
    public mutating func uint64(_ field: WireField) throws(WireError) -> UInt64 {
        try expect(.varint, field)
        return try varint()
    }

    /// The value of a `fixed32` field.
    public mutating func fixed32(_ field: WireField) throws(WireError) -> UInt32 {
        try expect(.fixed32, field)
        let start = try advance(4)
        return UInt32(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt32.self))
    }

    /// The value of a `fixed64` field.
    public mutating func fixed64(_ field: WireField) throws(WireError) -> UInt64 {
        try expect(.fixed64, field)
        let start = try advance(8)
        return UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self))
    }

    /// Where the body of a length-delimited field lies.
    public mutating func range(_ field: WireField) throws(WireError) -> Range<Int> {
        try expect(.lengthDelimited, field)
        return try body()
    }

    /// A reader of an embedded message.
    @_lifetime(copy self)
    public mutating func message(_ field: WireField) throws(WireError) -> WireReader {
        let range = try range(field)
        return WireReader(bytes, in: range)
    }

    /// A copy of the value of a `bytes` field.
    public mutating func bytes(_ field: WireField) throws(WireError) -> [UInt8] {
        let range = try range(field)
        return unsafe bytes.extracting(range).withUnsafeBytes { body in unsafe [UInt8](body) }
    }

    /// The value of a `string` field, which must be valid UTF-8.
    public mutating func string(_ field: WireField) throws(WireError) -> String {
        let range = try range(field)
        let string = unsafe bytes.extracting(range).withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) }
        guard let string else { throw .utf8(at: range.lowerBound) }
        return string
    }

    /// Passes over the field's value; a group with all that is in it.
    public mutating func skip(_ field: WireField) throws(WireError) {
        try skip(field, depth: 0)
    }

    private mutating func skip(_ field: WireField, depth: Int) throws(WireError) {
        switch field.type {
        case .varint: _ = try varint()
        case .fixed64: _ = try advance(8)
        case .fixed32: _ = try advance(4)
        case .lengthDelimited: _ = try body()
        case .endGroup: throw .unbalancedGroup(at: field.offset)
        case .startGroup:
            guard depth < Self.largestGroupDepth else { throw .depth(at: field.offset) }
            while true {
                if position == end { throw .unbalancedGroup(at: field.offset) }
                let inner = try tag()
                if inner.type == .endGroup {
                    if inner.number == field.number { return }
                    throw .unbalancedGroup(at: inner.offset)
                }
                try skip(inner, depth: depth + 1)
            }
        }
    }

    private mutating func tag() throws(WireError) -> WireField {
        let start = position
        let value = try varint()
        let number = value >> 3
        guard number >= 1, number <= UInt64(WireField.largestNumber) else { throw .fieldNumber(at: start) }
        guard let type = WireType(rawValue: UInt8(value & 7)) else { throw .wireType(at: start) }
        return WireField(number: Int(number), type: type, offset: start)
    }

    private mutating func varint() throws(WireError) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = unsafe bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
            if shift == 63 && byte > 1 { throw .varintTooLong(at: start) }
            position += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw .truncated(at: start)
    }

    private mutating func body() throws(WireError) -> Range<Int> {
        let start = position
        let length = try varint()
        guard length <= UInt64(end - position) else { throw .truncated(at: start) }
        let first = position
        position += Int(length)
        return first..<position
    }

    /// Moves on by `count` bytes; returns where they begin.
    private mutating func advance(_ count: Int) throws(WireError) -> Int {
        guard end - position >= count else { throw .truncated(at: position) }
        defer { position += count }
        return position
    }

    private func expect(_ type: WireType, _ field: WireField) throws(WireError) {
        guard field.type == type else { throw .wireType(at: field.offset) }
    }
}
