// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin

/// The field values of one process: a fixed buffer that /proc files are read into, and where in it each value lies.
///
/// Reused for one process after the other: no memory is allocated for any of them.
struct ProcessSnapshot {
    /// Enough for all that `ProcessScanner` reads of one process with its limits.
    private static let capacity = 64 << 10

    private var bytes = [UInt8](repeating: 0, count: capacity)
    private var used = 0
    private var ranges = [Range<Int>](repeating: 0..<0, count: ProcessField.allCases.count)
    /// Number and name of the fields, in the order in which they are sent.
    private static let fields = ProcessField.allCases.map { (index: $0.rawValue, name: $0.name) }

    mutating func removeAll() {
        used = 0
        for index in ranges.indices { ranges[index] = 0..<0 }
    }

    /// Where the value of a field lies; empty while it has none.
    subscript(field: ProcessField) -> Range<Int> {
        get { ranges[field.rawValue] }
        set { ranges[field.rawValue] = newValue }
    }

    /// All bytes, which ranges refer to.
    var span: Span<UInt8> {
        @_lifetime(borrow self)
        get { bytes.span }
    }

    /// A copy of some bytes.
    func bytes(in range: Range<Int>) -> [UInt8] {
        Array(bytes[range])
    }

    /// Lets `read` store up to `limit` bytes; it returns how many it stored.
    mutating func append(limit: Int, _ read: (UnsafeMutableRawBufferPointer) -> Int) -> Range<Int> {
        let start = used
        let end = min(start + limit, bytes.count)
        let count = unsafe bytes.withUnsafeMutableBytes { (buffer) in
            unsafe read(UnsafeMutableRawBufferPointer(rebasing: buffer[start..<end]))
        }
        used = start + min(max(count, 0), end - start)
        return start..<used
    }

    /// Stores bytes, cut where the buffer ends.
    mutating func append(_ value: some Collection<UInt8>) -> Range<Int> {
        let start = used
        for byte in value {
            guard used < bytes.count else { break }
            bytes[used] = byte
            used += 1
        }
        return start..<used
    }

    /// Stores a number in decimal digits.
    mutating func append(decimal value: UInt64) -> Range<Int> {
        var divisor: UInt64 = 1
        while value / divisor >= 10 { divisor *= 10 }
        let start = used
        while divisor > 0, used < bytes.count {
            bytes[used] = UInt8(ascii: "0") + UInt8(value / divisor % 10)
            used += 1
            divisor /= 10
        }
        return start..<used
    }

    /// Replaces bytes of a range, one by one.
    mutating func replace(_ old: UInt8, by new: UInt8, in range: Range<Int>) {
        for index in range where bytes[index] == old { bytes[index] = new }
    }

    /// Adds every field, the empty ones too, as the original collector does.
    func write(to record: inout FieldWriter) {
        for (index, name) in Self.fields {
            record.add(name, bytes: bytes.span.extracting(ranges[index]))
        }
    }
}
