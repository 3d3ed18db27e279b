// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

extension JSONValue {
    /// The value as one line of JSON text: members in the order of their names, so that equal values give equal bytes.
    /// A number that JSON cannot express (infinite, not a number) becomes null.
    public var encoded: [UInt8] {
        var text: [UInt8] = []
        append(to: &text)
        return text
    }

    private func append(to text: inout [UInt8]) {
        switch self {
        case .null: text += "null".utf8
        case .bool(let value): text += "\(value)".utf8
        case .integer(let value): text += "\(value)".utf8
        case .real(let value): text += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): JSONString.append(value, to: &text)
        case .array(let items):
            text.append(UInt8(ascii: "["))
            for (index, item) in items.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                item.append(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .object(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                JSONString.append(member.key, to: &text)
                text.append(UInt8(ascii: ":"))
                member.value.append(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONValue {
    public static func strings(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }

    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The strings of an array; nil when it is none, or has something else in it.
    public var strings: [String]? {
        guard let array else { return nil }
        let texts = array.compactMap(\.string)
        return texts.count == array.count ? texts : nil
    }
}
