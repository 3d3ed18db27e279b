// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Appends protobuf fields to an array of bytes that keeps its capacity from one message to the next.
///
/// Methods named after a type write a whole field and leave out the default value (0, empty), as proto3 does; the others
/// write exactly what they are given.
public struct WireWriter: Sendable {
    /// What has been written so far.
    public private(set) var bytes: [UInt8] = []

    /// An empty writer with room for `capacity` bytes.
    public init(reservingCapacity capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    /// Empties the writer, keeping its memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
    }

    // MARK: Fields

    /// An `int32` field. A negative value takes 10 bytes.
    public mutating func int32(_ number: Int, _ value: Int32) {
        int64(number, Int64(value))
    }

    /// An `int64` field.
    public mutating func int64(_ number: Int, _ value: Int64) {
        if value == 0 { return }
        tag(number, .varint)
        varint(UInt64(bitPattern: value))
    }

    /// A `string` field.
    public mutating func string(_ number: Int, _ value: String) {
        if !value.utf8.isEmpty { element(number, value) }
    }

    /// A `bytes` field.
    public mutating func bytes(_ number: Int, _ value: [UInt8]) {
        if !value.isEmpty { element(number, value) }
    }

    /// One element of a repeated `string` field, or a string that is written though empty.
    public mutating func element(_ number: Int, _ value: String) {
        header(number, length: value.utf8.count)
        bytes.append(contentsOf: value.utf8)
    }

    /// One element of a repeated `bytes` field, or bytes that are written though empty.
    public mutating func element(_ number: Int, _ value: [UInt8]) {
        header(number, length: value.count)
        bytes.append(contentsOf: value)
    }

    /// One element of a repeated `bytes` field, or bytes that are written though empty.
    public mutating func element(_ number: Int, _ value: RawSpan) {
        header(number, length: value.byteCount)
        append(value)
    }

    /// An embedded message, also when it is empty.
    public mutating func message<Message: WireMessage>(_ number: Int, _ value: Message) {
        header(number, length: value.encodedSize)
        value.encode(into: &self)
    }

    /// Tag and length of a length-delimited field whose body, `length` bytes, the caller appends next.
    public mutating func header(_ number: Int, length: Int) {
        tag(number, .lengthDelimited)
        varint(UInt64(length))
    }

    // MARK: Parts

    /// A field's tag; `number` is 1 … 2^29 − 1.
    public mutating func tag(_ number: Int, _ type: WireType) {
        precondition(number >= 1 && number <= WireField.largestNumber, "field number out of range")
        varint(UInt64(number) << 3 | UInt64(type.rawValue))
    }

    /// A varint in its shortest form, 1 to 10 bytes.
    public mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// A varint of exactly `width` bytes (1 … 10), padded with continuation bits. `value` must fit `7 * width` bits.
    public mutating func paddedVarint(_ value: UInt64, width: Int) {
        precondition(width >= Self.varintSize(value) && width <= 10, "value does not fit the padded varint")
        var rest = value
        for _ in 1..<width {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Four bytes, little-endian.
    public mutating func fixed32(_ value: UInt32) {
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
    }

    /// Eight bytes, little-endian.
    public mutating func fixed64(_ value: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }

    /// The bytes as they are.
    public mutating func append(_ value: RawSpan) {
        unsafe value.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    }

    /// The bytes as they are.
    public mutating func append(_ value: [UInt8]) {
        bytes.append(contentsOf: value)
    }

    // MARK: Sizes in bytes

    /// The size of a varint in its shortest form.
    public static func varintSize(_ value: UInt64) -> Int {
        (70 - (value | 1).leadingZeroBitCount) / 7
    }

    /// The size of a field's tag.
    public static func tagSize(_ number: Int) -> Int {
        varintSize(UInt64(number) << 3)
    }

    /// The size of an `int64` or `int32` field, 0 when the value is 0.
    public static func int64Size(_ number: Int, _ value: Int64) -> Int {
        value == 0 ? 0 : tagSize(number) + varintSize(UInt64(bitPattern: value))
    }

    /// The size of a `string` field, 0 when the value is empty.
    public static func stringSize(_ number: Int, _ value: String) -> Int {
        value.utf8.isEmpty ? 0 : elementSize(number, length: value.utf8.count)
    }

    /// The size of a length-delimited field with a body of `length` bytes.
    public static func elementSize(_ number: Int, length: Int) -> Int {
        tagSize(number) + varintSize(UInt64(length)) + length
    }
}
