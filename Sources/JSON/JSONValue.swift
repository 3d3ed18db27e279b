// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CJansson

/// A JSON text (RFC 8259) as values, read by jansson.
public enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case real(Double)
    case string(String)
    case array([JSONValue])
    /// The last of several members of the same name.
    case object([String: JSONValue])

    /// Why a text is none.
    public struct ParseError: Error, Equatable, Sendable, CustomStringConvertible {
        public let message: String
        public var description: String { message }
    }

    /// Bytes of text that are read at most: what servers send in one message.
    public static let maximumSize = 10 << 20

    /// Reads one value; nothing but blanks may follow it. Texts that nest deeper than jansson's limit (2,048), numbers
    /// out of range and strings that are not UTF-8 are refused.
    public init(parsing text: [UInt8], maximumSize: Int = maximumSize) throws(ParseError) {
        guard text.count <= maximumSize else {
            throw ParseError(message: "the text has \(text.count) bytes, more than \(maximumSize)")
        }
        var error = json_error_t()
        let flags = Int(JSON_DECODE_ANY | JSON_ALLOW_NUL)
        let root = unsafe text.withUnsafeBytes { bytes in
            unsafe json_loadb(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count, flags, &error)
        }
        guard let root = unsafe root else {
            let reason = unsafe withUnsafeBytes(of: error.text) { text in
                unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
            }
            throw ParseError(message: "line \(error.line), column \(error.column): \(reason)")
        }
        defer { unsafe CJansson_release(root) }
        self = unsafe JSONValue(root)
    }

    private init(_ value: UnsafeMutablePointer<json_t>) {
        switch unsafe UInt32(CJansson_type(value)) {
        case JSON_TRUE.rawValue: self = .bool(true)
        case JSON_FALSE.rawValue: self = .bool(false)
        case JSON_INTEGER.rawValue: self = unsafe .integer(Int64(json_integer_value(value)))
        case JSON_REAL.rawValue: self = unsafe .real(json_real_value(value))
        case JSON_STRING.rawValue: self = unsafe .string(Self.text(json_string_value(value), json_string_length(value)))
        case JSON_ARRAY.rawValue:
            var items: [JSONValue] = []
            for index in unsafe 0..<json_array_size(value) {
                if let item = unsafe json_array_get(value, index) { unsafe items.append(JSONValue(item)) }
            }
            self = .array(items)
        case JSON_OBJECT.rawValue:
            var members: [String: JSONValue] = [:]
            var iterator = unsafe json_object_iter(value)
            while let position = unsafe iterator {
                if let key = unsafe json_object_iter_key(position), let item = unsafe json_object_iter_value(position) {
                    unsafe members[String(cString: key)] = JSONValue(item)
                }
                unsafe iterator = json_object_iter_next(value, position)
            }
            self = .object(members)
        default: self = .null
        }
    }

    private static func text(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count), as: UTF8.self)
    }

    /// The member of an object.
    public subscript(name: String) -> JSONValue? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    /// Whole or not.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .real(let value): value
        default: nil
        }
    }
    public var array: [JSONValue]? { if case .array(let items) = self { items } else { nil } }
}
