// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Snappy's framing format (framing_format.txt in the snappy sources): a stream identifier, then chunks, each with one
/// byte of type, 24 bits of length (little-endian) and as many bytes of body.
enum SnappyFraming {
    /// The most uncompressed data in one chunk (section 4.2).
    static let maximumBlock = 65_536
    /// The body of a data chunk starts with the masked CRC-32C of its uncompressed data.
    static let checksumSize = 4
    static let headerSize = 4
    /// The header and body of the chunk that starts each stream.
    static let streamIdentifier: [10 of UInt8] = [0xFF, 0x06, 0x00, 0x00, 0x73, 0x4E, 0x61, 0x50, 0x70, 0x59]
    /// Its body alone, "sNaPpY".
    static let identifierBodySize = 6

    enum ChunkType {
        case compressed
        case uncompressed
        case streamIdentifier
        /// Padding, or a type reserved for what a reader may skip.
        case skippable
        /// A type reserved for what a reader must understand.
        case unskippable

        init(_ byte: UInt8) {
            switch byte {
            case 0x00: self = .compressed
            case 0x01: self = .uncompressed
            case 0x02...0x7F: self = .unskippable
            case 0xFF: self = .streamIdentifier
            default: self = .skippable
            }
        }
    }
}
