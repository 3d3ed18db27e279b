// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON

/// A JSON object under construction, in one line (RFC 8259).
public struct JSONText: Sendable {
    private var bytes: [UInt8] = []

    public init() {}

    private mutating func key(_ name: String) {
        if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
        JSONString.append(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    public mutating func add(_ name: String, _ value: String) {
        key(name)
        JSONString.append(value, to: &bytes)
    }

    public mutating func add<Number: BinaryInteger>(_ name: String, _ value: Number) {
        key(name)
        bytes += "\(value)".utf8
    }

    public mutating func add(_ name: String, _ value: Bool) {
        key(name)
        bytes += "\(value)".utf8
    }

    public mutating func add(_ name: String, _ value: JSONText) {
        key(name)
        bytes += value.text.utf8
    }

    /// A list of strings.
    public mutating func add(_ name: String, _ values: [String]) {
        key(name)
        bytes.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            JSONString.append(value, to: &bytes)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// A list of objects.
    public mutating func add(_ name: String, _ values: [JSONText]) {
        key(name)
        bytes += "[\(values.map(\.text).joined(separator: ","))]".utf8
    }

    public var text: String { "{" + String(decoding: bytes, as: UTF8.self) + "}" }
}
