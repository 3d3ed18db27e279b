// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A record as a plugin library writes it, taken apart without any code of the agent's.
struct RecordFrame: Equatable, Sendable {
    var dataType: Int32 = 0
    var timestamp: Int64 = 0
    var fields: [Field] = []
    /// As it was on the wire, without the length.
    var bytes: [UInt8] = []

    struct Field: Equatable, Sendable {
        var key: [UInt8]
        var value: [UInt8]
    }

    /// The value of the field, as a text.
    subscript(_ key: String) -> String? {
        fields.last { $0.key == Array(key.utf8) }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        var record = WireReader(bytes)
        while let (number, type) = try record.tag() {
            switch (number, type) {
            case (1, 0): dataType = Int32(truncatingIfNeeded: try record.varint())
            case (2, 0): timestamp = Int64(bitPattern: try record.varint())
            case (3, 2):
                var payload = WireReader(try record.bytes())
                while let (number, type) = try payload.tag() {
                    guard (number, type) == (1, 2) else { throw Failure("field \(number) of a payload") }
                    var entry = WireReader(try payload.bytes())
                    var field = Field(key: [], value: [])
                    while let (number, type) = try entry.tag() {
                        switch (number, type) {
                        case (1, 2): field.key = try entry.bytes()
                        case (2, 2): field.value = try entry.bytes()
                        default: throw Failure("field \(number) of an entry")
                        }
                    }
                    fields.append(field)
                }
            default: throw Failure("field \(number) of type \(type) in a record")
            }
        }
    }
}

/// Reads fields of a message, and traps at nothing.
struct WireReader {
    private let content: [UInt8]
    private var position = 0

    init(_ content: [UInt8]) { self.content = content }

    mutating func tag() throws -> (UInt64, UInt64)? {
        guard position < content.count else { return nil }
        let tag = try varint()
        return (tag >> 3, tag & 7)
    }

    mutating func varint() throws -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<10 {
            guard position < content.count else { throw Failure("a varint is cut off in \(content)") }
            let byte = content[position]
            position += 1
            value |= UInt64(byte & 0x7f) << UInt64(7 * index)
            if byte < 0x80 { return value }
        }
        throw Failure("a varint is too long in \(content)")
    }

    mutating func bytes() throws -> [UInt8] {
        let count = try varint()
        guard count <= UInt64(content.count - position) else { throw Failure("a field is cut off in \(content)") }
        defer { position += Int(count) }
        return Array(content[position..<position + Int(count)])
    }
}

/// A task as a server means it, and its bytes.
struct TaskFrame {
    var dataType: Int32
    var objectName = ""
    var data = ""
    var token = ""

    /// Without the length.
    var body: [UInt8] {
        var bytes: [UInt8] = []
        if dataType != 0 { bytes += [0x08] + Self.varint(UInt64(bitPattern: Int64(dataType))) }
        for (tag, text) in [(UInt8(0x12), objectName), (0x1a, data), (0x22, token)] where !text.isEmpty {
            bytes += [tag] + Self.varint(UInt64(text.utf8.count)) + text.utf8
        }
        return bytes
    }

    var frame: [UInt8] { Self.frame(body) }

    /// What a probe says of it.
    var line: String { "task \(dataType) \(hex(objectName.utf8)) \(hex(data.utf8)) \(hex(token.utf8))" }

    static func frame(_ body: [UInt8]) -> [UInt8] { length(body.count) + body }

    static func length(_ count: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } }

    static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}

/// Lower-case hexadecimal digits as probes take and print them; none is "-".
func hex(_ bytes: some Collection<UInt8>) -> String {
    bytes.isEmpty ? "-" : bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}
