// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A record as `PackagedData` carries it: the payload is opaque. Ranges count from the start of the whole message.
public struct EncodedRecord: Equatable, Sendable {
    public var dataType: Int32 = 0
    /// Seconds since 1970.
    public var timestamp: Int64 = 0
    /// Where the payload lies (field 3; when it occurs twice, the last one). Empty when it is absent.
    public var data: Range<Int>
    /// Where the whole record lies: the same bytes as the `Record` that the plugin wrote.
    public let encoded: Range<Int>
}

/// Reads a `PackagedData` in one pass, record by record, without copying or keeping any.
public struct PackagedDataReader: ~Escapable {
    private var reader: WireReader
    private let bytes: RawSpan
    /// The header fields met so far: complete once `nextRecord` has returned nil.
    public private(set) var header = PackagedDataHeader()

    /// Reads the whole of `bytes` as one message.
    @_lifetime(copy bytes)
    public init(_ bytes: RawSpan) {
        self.bytes = bytes
        self.reader = WireReader(bytes)
    }

    /// The next record, or nil at the end of the message. The record's payload is not looked into.
    public mutating func nextRecord() throws(WireError) -> EncodedRecord? {
        while let field = try reader.nextField() {
            if field.number == 1 { return try record(try reader.range(field)) }
            try header.merge(field, &reader)
        }
        return nil
    }

    private func record(_ range: Range<Int>) throws(WireError) -> EncodedRecord {
        var record = EncodedRecord(data: range.upperBound..<range.upperBound, encoded: range)
        var reader = WireReader(bytes, in: range)
        while let field = try reader.nextField() {
            switch field.number {
            case 1: record.dataType = try reader.int32(field)
            case 2: record.timestamp = try reader.int64(field)
            case 3: record.data = try reader.range(field)
            default: try reader.skip(field)
            }
        }
        return record
    }
}

/// A decoded `PackagedData`: the header, and where each record lies in the message.
///
/// To encode one, append records with `RecordBuilder.encode(into:framing:)` or `WireWriter.element(1, …)`, and the header
/// before or after them.
public struct PackagedData: Equatable, Sendable {
    public let header: PackagedDataHeader
    public let records: [EncodedRecord]

    /// Reads a whole message.
    public init(decoding bytes: RawSpan) throws(WireError) {
        var reader = PackagedDataReader(bytes)
        var records: [EncodedRecord] = []
        while let record = try reader.nextRecord() { records.append(record) }
        self.header = reader.header
        self.records = records
    }

    /// Reads a whole message.
    public init(decoding bytes: [UInt8]) throws(WireError) {
        try self.init(decoding: unsafe bytes.span.bytes)
    }
}
