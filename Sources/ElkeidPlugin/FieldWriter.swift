// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Encodes the fields of one record straight into the write buffer of its pipe.
///
/// Given to the closure of `PluginClient.send`. Keys are short names; a key that is added twice is legal on the wire
/// and readers keep the last value. A value is any bytes: it need not be UTF-8.
///
/// Layout of the buffer, where `|` marks the start of the record under construction:
///
///     frame · frame · … | length, 4 bytes little-endian · Record · room
@safe
public struct FieldWriter: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private let initialCapacity: Int
    /// Bytes in the buffer, those of an unfinished record included.
    private(set) var count = 0
    private var recordStart = 0
    private var payloadStart = 0

    /// Bytes kept free for the length of a payload: right for 128 to 16,383 bytes, others are moved when finished.
    private static let reservedLengthSize = 2

    init(capacity: Int) {
        initialCapacity = capacity
        self.capacity = capacity
        unsafe base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        unsafe base.deallocate()
    }

    // MARK: Fields

    /// Adds a text field.
    public mutating func add(_ key: String, _ value: String) {
        var value = value
        value.withUTF8 { (bytes) in
            unsafe addEntry(key, UnsafeRawBufferPointer(bytes))
        }
    }

    /// Adds a number in decimal digits, which is how the server expects all numbers.
    @inlinable
    public mutating func add(_ key: String, _ value: some FixedWidthInteger) {
        precondition(value.bitWidth <= 64, "numbers wider than 64 bits are not supported")
        addDecimal(key, isNegative: value < 0, magnitude: UInt64(truncatingIfNeeded: value.magnitude))
    }

    /// Adds a field whose value is these bytes, UTF-8 or not.
    public mutating func add(_ key: String, bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBytes { (bytes) in
            unsafe addEntry(key, bytes)
        }
    }

    /// Adds a field whose value is these bytes, UTF-8 or not.
    public mutating func add(_ key: String, bytes: [UInt8]) {
        add(key, bytes: bytes.span)
    }

    @usableFromInline
    mutating func addDecimal(_ key: String, isNegative: Bool, magnitude: UInt64) {
        // 20 digits are the most a UInt64 has, and a sign.
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 21) { (digits) in
            var rest = magnitude
            var start = digits.count
            repeat {
                start -= 1
                unsafe digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest != 0
            if isNegative {
                start -= 1
                unsafe digits[start] = UInt8(ascii: "-")
            }
            unsafe addEntry(key, UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: digits[start...])))
        }
    }

    /// Payload.fields is `map<string, string>`: field 1, repeated, each an entry of key (1) and value (2).
    private mutating func addEntry(_ key: String, _ value: UnsafeRawBufferPointer) {
        var key = key
        key.withUTF8 { (key) in
            let size = 2 + varintSize(key.count) + key.count + varintSize(value.count) + value.count
            reserve(1 + varintSize(size) + size)
            unsafe putByte(0x0A)
            unsafe putVarint(UInt64(size))
            unsafe putByte(0x0A)
            unsafe putBytes(UnsafeRawBufferPointer(key))
            unsafe putByte(0x12)
            unsafe putBytes(value)
        }
    }

    // MARK: Records

    /// Starts a record behind the finished ones.
    mutating func beginRecord(dataType: Int32, timestamp: Int64) {
        recordStart = count
        reserve(4 + 2 * (1 + maximumVarintSize) + 1 + Self.reservedLengthSize)
        count += 4
        // Zero is the default of proto3 and not written.
        if dataType != 0 {
            unsafe putByte(0x08)
            unsafe putVarint(UInt64(bitPattern: Int64(dataType)))
        }
        if timestamp != 0 {
            unsafe putByte(0x10)
            unsafe putVarint(UInt64(bitPattern: timestamp))
        }
        unsafe putByte(0x1A)
        count += Self.reservedLengthSize
        payloadStart = count
    }

    /// Fills in the lengths of the record begun last, and keeps it if its size is at most `limit`.
    /// - Returns: the size of the encoded record, without the 4 bytes of its length.
    mutating func finishRecord(limit: Int) -> Int {
        let payloadSize = count - payloadStart
        let lengthSize = varintSize(payloadSize)
        let shift = lengthSize - Self.reservedLengthSize
        let size = payloadStart + shift + payloadSize - recordStart - 4
        guard size <= limit, size <= Int(UInt32.max) else {
            count = recordStart
            return size
        }
        if shift != 0 {
            reserve(max(shift, 0))
            unsafe memmove(base + payloadStart + shift, base + payloadStart, payloadSize)
        }
        count = payloadStart - Self.reservedLengthSize
        unsafe putVarint(UInt64(payloadSize))
        count += payloadSize
        unsafe base.storeBytes(of: UInt32(size).littleEndian, toByteOffset: recordStart, as: UInt32.self)
        return size
    }

    /// The finished frames.
    var frames: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe RawSpan(_unsafeStart: base, byteCount: count)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Forgets all frames, and gives back what unusually large records made the buffer grow.
    mutating func removeAll() {
        count = 0
        guard capacity > initialCapacity else { return }
        unsafe base.deallocate()
        unsafe base = .allocate(byteCount: initialCapacity, alignment: 16)
        capacity = initialCapacity
    }

    // MARK: Bytes

    /// Makes room for `additional` bytes behind `count`.
    private mutating func reserve(_ additional: Int) {
        guard additional > capacity - count else { return }
        let newCapacity = max(count + additional, capacity + capacity / 2)
        let grown = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        unsafe grown.copyMemory(from: base, byteCount: count)
        unsafe base.deallocate()
        unsafe base = grown
        capacity = newCapacity
    }

    /// Requires room made by `reserve`.
    @unsafe
    private mutating func putByte(_ byte: UInt8) {
        unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    /// Requires room made by `reserve`.
    @unsafe
    private mutating func putVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            unsafe putByte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        unsafe putByte(UInt8(truncatingIfNeeded: rest))
    }

    /// A length and the bytes; requires room made by `reserve`.
    @unsafe
    private mutating func putBytes(_ bytes: UnsafeRawBufferPointer) {
        unsafe putVarint(UInt64(bytes.count))
        if let start = bytes.baseAddress {
            unsafe (base + count).copyMemory(from: start, byteCount: bytes.count)
        }
        count += bytes.count
    }
}
