// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Encodes the fields of one record straight into the write buffer of its pipe.
///
/// Given to the closures of `PluginClient`. Keys are short names; a key that is added twice is legal on the wire and
/// readers keep the last value. A value is any bytes: it need not be UTF-8.
@safe
public struct FieldWriter: ~Copyable {
    var buffer: RecordBuffer

    init(capacity: Int) {
        buffer = RecordBuffer(capacity: capacity)
    }

    /// Adds a text field.
    public mutating func add(_ key: String, _ value: String) {
        unsafe withUTF8(of: value) { (bytes) in unsafe addEntry(key, bytes) }
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

    private mutating func addEntry(_ key: String, _ value: UnsafeRawBufferPointer) {
        unsafe withUTF8(of: key) { (key) in unsafe buffer.appendEntry(key, value) }
    }
}

/// Lends the bytes of a string. `String.withUTF8` alone would do, but it wants a copy, whose retain and release cost as
/// much as encoding a field does.
@inline(__always)
private func withUTF8(of text: String, _ body: (UnsafeRawBufferPointer) -> Void) {
    let isDone: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { unsafe body(UnsafeRawBufferPointer($0)) }
    guard isDone == nil else { return }
    var copy = text
    copy.withUTF8 { unsafe body(UnsafeRawBufferPointer($0)) }
}
