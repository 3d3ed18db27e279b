// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The most bytes that a varint has (Protocol Buffers encoding, "Base 128 varints").
let maximumVarintSize = 10

/// Bytes that a length takes as a varint.
func varintSize(_ length: Int) -> Int {
    var rest = UInt64(length) >> 7
    var size = 1
    while rest != 0 {
        size += 1
        rest >>= 7
    }
    return size
}

/// Reads protobuf fields from a message, checking every bound.
struct ProtobufReader: ~Copyable, ~Escapable {
    private let bytes: Span<UInt8>
    private var position = 0

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    /// The next field's number and wire type.
    mutating func readTag() throws(PluginError.MalformedTask) -> (field: Int, wireType: Int) {
        let tag = try readVarint()
        let field = tag >> 3
        guard field >= 1, field < 1 << 29 else { throw .invalidTag }
        return (Int(field), Int(tag & 7))
    }

    mutating func readVarint() throws(PluginError.MalformedTask) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<maximumVarintSize {
            guard position < bytes.count else { throw .truncated }
            let byte = bytes[position]
            position += 1
            // The tenth byte has room for one bit; what is beyond it is dropped, as protobuf libraries do.
            value |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 { return value }
        }
        throw .varintTooLong
    }

    /// The content of a string field.
    mutating func readString(field: Int) throws(PluginError.MalformedTask) -> String {
        let range = try readLengthDelimited()
        guard let text = try? UTF8Span(validating: bytes.extracting(range)) else { throw .notUTF8(field: field) }
        return String(copying: text)
    }

    /// Passes over a field that this version does not know.
    mutating func skip(wireType: Int) throws(PluginError.MalformedTask) {
        switch wireType {
        case 0: _ = try readVarint()
        case 1: try advance(8)
        case 2: _ = try readLengthDelimited()
        case 5: try advance(4)
        // Groups (3, 4) are not in proto3, 6 and 7 do not exist.
        default: throw .invalidTag
        }
    }

    /// Where the content of a string or message field is.
    mutating func readLengthDelimited() throws(PluginError.MalformedTask) -> Range<Int> {
        let length = try readVarint()
        guard length <= UInt64(bytes.count - position) else { throw .truncated }
        let start = position
        position += Int(length)
        return start..<position
    }

    private mutating func advance(_ count: Int) throws(PluginError.MalformedTask) {
        guard count <= bytes.count - position else { throw .truncated }
        position += count
    }
}
