// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A message of `grpc.proto`.
///
/// Decoding follows proto3: fields in any order, the last value of a scalar wins, repeated fields and embedded messages
/// accumulate, unknown fields are passed over, strings must be valid UTF-8.
public protocol WireMessage {
    /// The message with every field at its default.
    init()
    /// Reads fields to the reader's end, on top of those that are already set. After an error the message holds part of
    /// what was read and should be discarded.
    mutating func merge(_ reader: WireReader) throws(WireError)
    /// How many bytes `encode(into:)` appends.
    var encodedSize: Int { get }
    /// Appends the message; fields with their default value are left out.
    func encode(into writer: inout WireWriter)
}

extension WireMessage {
    /// Reads a whole message. What is kept of it is copied out of `bytes`.
    public init(decoding bytes: RawSpan) throws(WireError) {
        self.init()
        try merge(WireReader(bytes))
    }

    /// Reads a whole message.
    public init(decoding bytes: [UInt8]) throws(WireError) {
        try self.init(decoding: unsafe bytes.span.bytes)
    }

    /// The message in an array of its own.
    public func encoded() -> [UInt8] {
        var writer = WireWriter(reservingCapacity: encodedSize)
        encode(into: &writer)
        return writer.bytes
    }

    /// Appends the message as a frame on a plugin's pipe: its length as 4 bytes, little-endian, then the message.
    /// The message must be shorter than 4 GiB.
    public func encodeFrame(into writer: inout WireWriter) {
        writer.fixed32(UInt32(encodedSize))
        encode(into: &writer)
    }
}
