// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A record's fields: `map<string, string>`, with raw bytes because plugins copy arguments and file names as they are,
/// valid UTF-8 or not.
public struct Payload: WireMessage, Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public var name: [UInt8] = []
        public var value: [UInt8] = []

        public init(name: [UInt8] = [], value: [UInt8] = []) {
            self.name = name
            self.value = value
        }
    }

    /// In the order of the wire, which has no meaning. When a name occurs twice the last one counts.
    public var entries: [Entry] = []

    public init() {}

    public init(entries: [Entry]) {
        self.entries = entries
    }

    /// The value of that name, or nil.
    /// - Complexity: O(number of entries)
    public subscript(name: String) -> [UInt8]? {
        entries.last { $0.name.elementsEqual(name.utf8) }?.value
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: entries.append(try Self.entry(try reader.message(field)))
            default: try reader.skip(field)
            }
        }
    }

    private static func entry(_ reader: WireReader) throws(WireError) -> Entry {
        var reader = reader
        var entry = Entry()
        while let field = try reader.nextField() {
            switch field.number {
            case 1: entry.name = try reader.bytes(field)
            case 2: entry.value = try reader.bytes(field)
            default: try reader.skip(field)
            }
        }
        return entry
    }

    public var encodedSize: Int {
        var size = 0
        for entry in entries {
            let length = Self.entrySize(name: entry.name.count, value: entry.value.count)
            size += WireWriter.elementSize(1, length: length)
        }
        return size
    }

    /// Map entries carry both name and value, also when empty, as every protobuf implementation writes them.
    public func encode(into writer: inout WireWriter) {
        for entry in entries {
            writer.header(1, length: Self.entrySize(name: entry.name.count, value: entry.value.count))
            writer.element(1, entry.name)
            writer.element(2, entry.value)
        }
    }

    static func entrySize(name: Int, value: Int) -> Int {
        WireWriter.elementSize(1, length: name) + WireWriter.elementSize(2, length: value)
    }
}

/// A record as plugins write it to their descriptor 4, decoded in full. The agent itself never decodes records: this is
/// for the development center, for plugins and for tests.
public struct Record: WireMessage, Equatable, Sendable {
    public var dataType: Int32 = 0
    /// Seconds since 1970.
    public var timestamp: Int64 = 0
    public var payload: Payload?

    public init() {}

    public init(dataType: Int32, timestamp: Int64, payload: Payload?) {
        self.dataType = dataType
        self.timestamp = timestamp
        self.payload = payload
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: dataType = try reader.int32(field)
            case 2: timestamp = try reader.int64(field)
            case 3:
                var merged = payload ?? Payload()
                payload = nil  // or the entries would be copied at the first append
                try merged.merge(try reader.message(field))
                payload = merged
            default: try reader.skip(field)
            }
        }
    }

    public var encodedSize: Int {
        var size = WireWriter.int64Size(1, Int64(dataType)) + WireWriter.int64Size(2, timestamp)
        if let payload { size += WireWriter.elementSize(3, length: payload.encodedSize) }
        return size
    }

    public func encode(into writer: inout WireWriter) {
        writer.int32(1, dataType)
        writer.int64(2, timestamp)
        if let payload { writer.message(3, payload) }
    }
}
