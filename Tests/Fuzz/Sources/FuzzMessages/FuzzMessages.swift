// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import FuzzSupport
import JSON

/// Any bytes as each of the messages: a value or an error; what was read is written and read again without a change.
@main
enum FuzzMessages {
    static func main() {
        unsafe fuzz { bytes, count in
            var input = unsafe FuzzInput(bytes, count)
            check(input.rest())
            return 0
        }
    }
}

private func check(_ bytes: [UInt8]) {
    checkStable(Command.self, bytes)
    checkStable(PluginConfig.self, bytes)
    checkStable(PluginTask.self, bytes)
    checkStable(FileUploadRequest.self, bytes)
    checkStable(FileUploadResponse.self, bytes)
    checkStable(PackagedDataHeader.self, bytes)
    checkStable(Payload.self, bytes)
    if let record = checkStable(Record.self, bytes) { checkBuilder(record) }
    checkPackagedData(bytes)
    checkFields(bytes)
    checkJSON(bytes)
}

/// Decodes, encodes, decodes.
@discardableResult
private func checkStable<Message: WireMessage & Equatable>(_ type: Message.Type, _ bytes: [UInt8]) -> Message? {
    guard let message = try? Message(decoding: bytes) else { return nil }
    let encoded = message.encoded()
    expect(encoded.count == message.encodedSize, "\(type) announces \(message.encodedSize) bytes of \(encoded.count)")
    guard let again = try? Message(decoding: encoded) else { fatalError("\(type) cannot read what it wrote") }
    expect(again == message, "\(type) reads something else than it wrote")
    expect(again.encoded() == encoded, "\(type) writes the same message in two ways")
    return message
}

/// A record built entry by entry is the record that was decoded.
private func checkBuilder(_ record: Record) {
    var builder = RecordBuilder()
    builder.begin(dataType: record.dataType, timestamp: record.timestamp)
    for entry in record.payload?.entries ?? [] {
        guard let name = String(validating: entry.name, as: UTF8.self) else { return }
        builder.append(name, bytes: entry.value)
    }
    var writer = WireWriter()
    builder.encode(into: &writer)
    expect(writer.bytes.count == builder.encodedSize, "a built record has another size than announced")
    var expected = record
    expected.payload = record.payload ?? Payload()
    guard let built = try? Record(decoding: writer.bytes) else { fatalError("a built record cannot be read") }
    expect(built == expected, "a built record is another one")
}

private func checkPackagedData(_ bytes: [UInt8]) {
    guard let packaged = try? PackagedData(decoding: bytes) else { return }
    var writer = WireWriter()
    packaged.header.encode(into: &writer)
    for record in packaged.records {
        expect(record.encoded.lowerBound >= 0 && record.encoded.upperBound <= bytes.count, "a record out of bounds")
        expect(
            record.data.lowerBound >= record.encoded.lowerBound && record.data.upperBound <= record.encoded.upperBound,
            "a payload outside of its record"
        )
        writer.element(1, Array(bytes[record.encoded]))
    }
    guard let again = try? PackagedData(decoding: writer.bytes) else {
        fatalError("PackagedData written again cannot be read")
    }
    expect(again.header == packaged.header, "PackagedData written again has another header")
    expect(again.records.count == packaged.records.count, "PackagedData written again has other records")
    for (record, before) in zip(again.records, packaged.records) {
        expect(record.dataType == before.dataType && record.timestamp == before.timestamp, "another record")
        expect(writer.bytes[record.data] == bytes[before.data], "another payload")
    }
}

/// Walks over the fields whatever they mean.
private func checkFields(_ bytes: [UInt8]) {
    var reader = WireReader(unsafe bytes.span.bytes)
    do throws(WireError) {
        while let field = try reader.nextField() {
            expect(reader.position > field.offset, "a tag without bytes")
            try reader.skip(field)
            expect(reader.position <= bytes.count, "a field past the end")
        }
        expect(reader.position == bytes.count, "fields end before the message does")
    } catch {
        expect(!error.description.isEmpty, "an error without a description")
    }
}

/// A JSON string is one line of text, and ends only where it ends.
private func checkJSON(_ bytes: [UInt8]) {
    var output: [UInt8] = []
    JSONString.append(unsafe bytes.span.bytes, to: &output)
    guard let text = String(validating: output, as: UTF8.self) else { fatalError("JSON that is not UTF-8") }
    expect(output.count >= 2 && output.first == 0x22 && output.last == 0x22, "a JSON string without its quotes")
    var isEscaped = false
    for scalar in text.unicodeScalars.dropFirst().dropLast() {
        expect(scalar.value >= 0x20 && !(0x7f..<0xa0).contains(scalar.value), "a bare control character in JSON")
        if isEscaped {
            isEscaped = false
        } else {
            expect(scalar != "\"", "a bare quotation mark in JSON")
            isEscaped = scalar == "\\"
        }
    }
    expect(!isEscaped, "JSON that escapes its last quotation mark")
}
