// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// An encoded record as a line of JSON for debug mode; one that is not a Record message in hexadecimal digits.
func recordLine(_ record: Span<UInt8>, priority: RecordPriority) -> [UInt8] {
    let content: RecordContent
    do throws(PluginError.MalformedTask) {
        content = try RecordContent(decoding: record)
    } catch {
        var line = Array("{\"malformed\":\"".utf8)
        for index in record.indices {
            line.append(hexDigit(record[index] >> 4))
            line.append(hexDigit(record[index] & 15))
        }
        return line + Array("\"}\n".utf8)
    }
    var line = Array("{\"data_type\":\(content.dataType),\"timestamp\":\(content.timestamp)".utf8)
    if priority == .high { line += Array(",\"priority\":\"high\"".utf8) }
    line += Array(",\"fields\":{".utf8)
    line += content.fields
    line += Array("}}\n".utf8)
    return line
}

/// What a Record message says, its fields as the inside of a JSON object.
private struct RecordContent {
    var dataType: Int32 = 0
    var timestamp: Int64 = 0
    var fields: [UInt8] = []

    init(decoding record: Span<UInt8>) throws(PluginError.MalformedTask) {
        var reader = ProtobufReader(record)
        while !reader.isAtEnd {
            let (field, wireType) = try reader.readTag()
            switch (field, wireType) {
            case (1, 0): dataType = Int32(truncatingIfNeeded: try reader.readVarint())
            case (2, 0): timestamp = Int64(bitPattern: try reader.readVarint())
            case (3, 2): try addPayload(record.extracting(try reader.readLengthDelimited()))
            case (1...3, _): throw .wrongWireType(field: field)
            default: try reader.skip(wireType: wireType)
            }
        }
    }

    private mutating func addPayload(_ payload: Span<UInt8>) throws(PluginError.MalformedTask) {
        var reader = ProtobufReader(payload)
        while !reader.isAtEnd {
            let (field, wireType) = try reader.readTag()
            switch (field, wireType) {
            case (1, 2): try addEntry(payload.extracting(try reader.readLengthDelimited()))
            case (1, _): throw .wrongWireType(field: field)
            default: try reader.skip(wireType: wireType)
            }
        }
    }

    private mutating func addEntry(_ entry: Span<UInt8>) throws(PluginError.MalformedTask) {
        var key = 0..<0
        var value = 0..<0
        var reader = ProtobufReader(entry)
        while !reader.isAtEnd {
            let (field, wireType) = try reader.readTag()
            switch (field, wireType) {
            case (1, 2): key = try reader.readLengthDelimited()
            case (2, 2): value = try reader.readLengthDelimited()
            case (1...2, _): throw .wrongWireType(field: field)
            default: try reader.skip(wireType: wireType)
            }
        }
        if !fields.isEmpty { fields.append(UInt8(ascii: ",")) }
        addString(entry.extracting(key))
        fields.append(UInt8(ascii: ":"))
        addString(entry.extracting(value))
    }

    private mutating func addString(_ bytes: Span<UInt8>) {
        fields.append(UInt8(ascii: "\""))
        // Bytes that are not UTF-8 become U+FFFD.
        let text = unsafe bytes.withUnsafeBufferPointer { (bytes) in unsafe String(decoding: bytes, as: UTF8.self) }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): fields += [UInt8(ascii: "\\"), byte]
            case 0x08: fields += Array("\\b".utf8)
            case 0x09: fields += Array("\\t".utf8)
            case 0x0A: fields += Array("\\n".utf8)
            case 0x0C: fields += Array("\\f".utf8)
            case 0x0D: fields += Array("\\r".utf8)
            case 0..<0x20: fields += Array("\\u00".utf8) + [hexDigit(byte >> 4), hexDigit(byte & 15)]
            default: fields.append(byte)
            }
        }
        fields.append(UInt8(ascii: "\""))
    }
}

private func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
}
