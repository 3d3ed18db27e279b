// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A running CRC-32C (Castagnoli) checksum: reflected polynomial 0x82F63B78, initial value and final XOR all ones.
///
/// Snappy's framing format and the spool use it. The parameters are those of RFC 3720, appendix B.4; eight bytes are
/// looked up at a time ("slicing-by-8").
public struct CRC32C: Sendable {
    /// The register before the final XOR.
    private var register: UInt32

    /// Starts the checksum of an empty sequence.
    public init() {
        register = .max
    }

    /// The checksum of all bytes given so far; 0 when there were none.
    public var value: UInt32 { ~register }

    /// The value as snappy's framing format stores it: rotated right by 15 bits, plus a constant, so that a checksum
    /// over data which itself holds checksums stays strong (framing_format.txt, section 3).
    public var masked: UInt32 { ((value >> 15) | (value << 17)) &+ 0xA282_EAD8 }

    /// Adds bytes to the sequence.
    ///
    /// - Complexity: O(*n*) in the number of bytes.
    public mutating func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// The checksum of one contiguous sequence of bytes.
    public static func checksum(of bytes: RawSpan) -> UInt32 {
        var crc = CRC32C()
        crc.update(bytes)
        return crc.value
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        let table = castagnoliTable.span
        var crc = register
        var offset = 0
        let end = bytes.count
        while end &- offset >= 8 {
            let loaded = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let word = UInt64(littleEndian: loaded) ^ UInt64(crc)
            // Row r holds the effect of a byte that r more zero bytes follow, so the first byte uses the last row.
            let first = table[0x700 | Int(word & 0xFF)] ^ table[0x600 | Int((word >> 8) & 0xFF)]
            let second = table[0x500 | Int((word >> 16) & 0xFF)] ^ table[0x400 | Int((word >> 24) & 0xFF)]
            let third = table[0x300 | Int((word >> 32) & 0xFF)] ^ table[0x200 | Int((word >> 40) & 0xFF)]
            let fourth = table[0x100 | Int((word >> 48) & 0xFF)] ^ table[Int(word >> 56)]
            crc = first ^ second ^ third ^ fourth
            offset &+= 8
        }
        while offset < end {
            let byte = unsafe bytes[offset]
            crc = table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8)
            offset &+= 1
        }
        register = crc
    }
}

/// Eight rows of 256 entries: row 0 is the ordinary byte table, each next row its value moved on by one zero byte.
private let castagnoliTable: [2048 of UInt32] = {
    var table = [2048 of UInt32](repeating: 0)
    for index in 0..<256 {
        var crc = UInt32(index)
        for _ in 0..<8 {
            crc = crc & 1 == 0 ? crc >> 1 : (crc >> 1) ^ 0x82F6_3B78
        }
        table[index] = crc
    }
    for index in 256..<2048 {
        let previous = table[index - 256]
        table[index] = table[Int(previous & 0xFF)] ^ (previous >> 8)
    }
    return table
}()
