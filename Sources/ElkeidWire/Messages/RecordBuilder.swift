// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Builds one record after another, keeping its memory: for records that the agent or a Swift plugin makes.
///
///     builder.begin(dataType: 1000, timestamp: now)
///     builder.append("kernel_version", version)
///     builder.encode(into: &writer, framing: .packaged)
///
/// Data type, timestamp and payload are always written, in this order, though proto3 would leave out zeros: the original
/// agent's parser knows no other form. Names and values given as `String` are valid UTF-8.
public struct RecordBuilder: Sendable {
    /// What stands before the record's bytes.
    public enum Framing: Sendable {
        /// Nothing.
        case none
        /// The length as 4 bytes, little-endian: a plugin's pipe.
        case pipe
        /// Tag and length of `PackagedData.records`.
        case packaged
    }

    public private(set) var dataType: Int32 = 0
    /// Seconds since 1970.
    public private(set) var timestamp: Int64 = 0
    private var payload: WireWriter

    /// A record without entries, and room for `capacity` bytes of payload.
    public init(reservingCapacity capacity: Int = 1024) {
        payload = WireWriter(reservingCapacity: capacity)
    }

    /// Starts a new record without entries.
    public mutating func begin(dataType: Int32, timestamp: Int64) {
        self.dataType = dataType
        self.timestamp = timestamp
        payload.removeAll()
    }

    /// Appends one entry. A name should be given once: readers take the last one.
    public mutating func append(_ name: String, _ value: String) {
        appendName(name, valueSize: value.utf8.count)
        payload.element(2, value)
    }

    /// Appends one entry whose value may be any bytes. Servers want valid UTF-8 in what the agent says of itself.
    public mutating func append(_ name: String, bytes value: RawSpan) {
        appendName(name, valueSize: value.byteCount)
        payload.element(2, value)
    }

    /// Appends one entry whose value may be any bytes.
    public mutating func append(_ name: String, bytes value: [UInt8]) {
        appendName(name, valueSize: value.count)
        payload.element(2, value)
    }

    private mutating func appendName(_ name: String, valueSize: Int) {
        payload.header(1, length: Payload.entrySize(name: name.utf8.count, value: valueSize))
        payload.element(1, name)
    }

    /// The record's size in bytes, without framing.
    public var encodedSize: Int {
        WireWriter.tagSize(1) + WireWriter.varintSize(UInt64(bitPattern: Int64(dataType)))
            + WireWriter.tagSize(2) + WireWriter.varintSize(UInt64(bitPattern: timestamp))
            + WireWriter.elementSize(3, length: payload.bytes.count)
    }

    /// Appends the record as built so far. It must be shorter than 4 GiB.
    public func encode(into writer: inout WireWriter, framing: Framing = .none) {
        switch framing {
        case .none: break
        case .pipe: writer.fixed32(UInt32(encodedSize))
        case .packaged: writer.header(1, length: encodedSize)
        }
        writer.tag(1, .varint)
        writer.varint(UInt64(bitPattern: Int64(dataType)))
        writer.tag(2, .varint)
        writer.varint(UInt64(bitPattern: timestamp))
        writer.element(3, payload.bytes)
    }
}
