// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Little-endian integers and counted texts, one after the other.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    mutating func append(_ value: [UInt8]) { bytes += value }

    /// With a count (u32) in front.
    mutating func counted(_ value: [UInt8]) {
        integer(UInt32(value.count))
        bytes += value
    }

    mutating func text(_ value: String) { counted(Array(value.utf8)) }

    mutating func pad(to size: Int) {
        precondition(bytes.count <= size, "a field grew beyond its place")
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
    }
}

/// Reads what `ByteWriter` wrote; nil where the bytes end too early.
struct ByteReader {
    private let bytes: ArraySlice<UInt8>
    private var offset: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        offset = bytes.startIndex
    }

    init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    var isAtEnd: Bool { offset == bytes.endIndex }

    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type = T.self) -> T? {
        let size = T.bitWidth / 8
        guard bytes.endIndex - offset >= size else { return nil }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: bytes[offset + index]) << T(8 * index) }
        offset += size
        return value
    }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, bytes.endIndex - offset >= count else { return nil }
        defer { offset += count }
        return bytes[offset..<(offset + count)]
    }

    mutating func counted() -> [UInt8]? {
        guard let count = integer(UInt32.self) else { return nil }
        return take(Int(count)).map(Array.init)
    }

    mutating func text() -> String? { counted().map { String(decoding: $0, as: UTF8.self) } }
}
