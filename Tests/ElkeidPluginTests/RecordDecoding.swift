// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A record as an independent reader of the wire format sees it.
struct DecodedRecord: Equatable {
    var dataType: Int32 = 0
    var timestamp: Int64 = 0
    var fields: [(key: String, value: [UInt8])] = []

    func text(_ key: String) -> String? {
        fields.last { $0.key == key }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    static func == (left: DecodedRecord, right: DecodedRecord) -> Bool {
        left.dataType == right.dataType && left.timestamp == right.timestamp
            && left.fields.elementsEqual(right.fields) { $0.key == $1.key && $0.value == $1.value }
    }
}

struct NotARecord: Error {}

/// Splits frames and decodes each; throws when a byte is out of place.
func decodeRecords(_ stream: [UInt8]) throws -> [DecodedRecord] {
    var records: [DecodedRecord] = []
    var rest = stream[...]
    while !rest.isEmpty {
        let length = rest.prefix(4).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        rest = rest.dropFirst(4)
        guard rest.count >= length else { throw NotARecord() }
        records.append(try decodeRecord(rest.prefix(length)))
        rest = rest.dropFirst(length)
    }
    return records
}

private func decodeRecord(_ bytes: ArraySlice<UInt8>) throws -> DecodedRecord {
    var record = DecodedRecord()
    var rest = bytes
    while let tag = rest.first {
        rest = rest.dropFirst()
        switch tag {
        case 0x08: record.dataType = Int32(truncatingIfNeeded: try takeVarint(&rest))
        case 0x10: record.timestamp = Int64(bitPattern: try takeVarint(&rest))
        case 0x1A:
            var payload = try takeBytes(&rest)
            while payload.first == 0x0A {
                payload = payload.dropFirst()
                var entry = try takeBytes(&payload)
                guard entry.popFirst() == 0x0A else { throw NotARecord() }
                let key = String(decoding: try takeBytes(&entry), as: UTF8.self)
                guard entry.popFirst() == 0x12 else { throw NotARecord() }
                let value = Array(try takeBytes(&entry))
                guard entry.isEmpty else { throw NotARecord() }
                record.fields.append((key, value))
            }
            guard payload.isEmpty else { throw NotARecord() }
        default: throw NotARecord()
        }
    }
    return record
}

private func takeVarint(_ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
        guard let byte = rest.popFirst() else { throw NotARecord() }
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
    }
    throw NotARecord()
}

private func takeBytes(_ rest: inout ArraySlice<UInt8>) throws -> ArraySlice<UInt8> {
    let length = Int(try takeVarint(&rest))
    guard length <= rest.count else { throw NotARecord() }
    defer { rest = rest.dropFirst(length) }
    return rest.prefix(length)
}
