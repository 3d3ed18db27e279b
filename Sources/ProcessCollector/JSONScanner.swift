// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Splits one JSON object (RFC 8259) into its members, for a program that must not depend on Foundation.
struct JSONScanner {
    private let bytes: [UInt8]
    private var position = 0

    /// Values nested deeper than this are refused.
    private static let maximumDepth = 64

    init(_ text: String) {
        bytes = Array(text.utf8)
        skipSpace()
    }

    var isAtEnd: Bool { position == bytes.count }

    /// Names and the text of their values as written; nil when it is not a well-formed object.
    /// Names are compared as written: escapes in them are not resolved.
    mutating func object() -> [(name: String, value: String)]? {
        members(depth: 0)
    }

    private mutating func members(depth: Int) -> [(name: String, value: String)]? {
        guard take("{") else { return nil }
        var members: [(name: String, value: String)] = []
        if take("}") { return members }
        repeat {
            let name = position
            guard string() else { return nil }
            let nameText = text(from: name + 1, to: lastTokenEnd - 1)
            guard take(":") else { return nil }
            let start = position
            guard value(depth: depth) else { return nil }
            members.append((nameText, text(from: start, to: lastTokenEnd)))
        } while take(",")
        return take("}") ? members : nil
    }

    private mutating func value(depth: Int) -> Bool {
        guard depth < Self.maximumDepth, position < bytes.count else { return false }
        switch bytes[position] {
        case UInt8(ascii: "{"):
            return members(depth: depth + 1) != nil
        case UInt8(ascii: "["):
            return array(depth: depth + 1)
        case UInt8(ascii: "\""):
            return string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return number()
        default:
            return word("true") || word("false") || word("null")
        }
    }

    private mutating func array(depth: Int) -> Bool {
        guard take("[") else { return false }
        if take("]") { return true }
        repeat {
            guard value(depth: depth) else { return false }
        } while take(",")
        return take("]")
    }

    private mutating func string() -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return false }
        var index = position + 1
        while index < bytes.count, bytes[index] != UInt8(ascii: "\"") {
            guard bytes[index] >= 0x20 else { return false }
            index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard index < bytes.count else { return false }
        finishToken(at: index + 1)
        return true
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    private mutating func number() -> Bool {
        var index = position
        func byte() -> UInt8? { index < bytes.count ? bytes[index] : nil }
        func digits() -> Bool {
            let start = index
            while let digit = byte(), (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) { index += 1 }
            return index > start
        }
        if byte() == UInt8(ascii: "-") { index += 1 }
        let isZero = byte() == UInt8(ascii: "0")
        let start = index
        guard digits(), !isZero || index == start + 1 else { return false }
        if byte() == UInt8(ascii: ".") {
            index += 1
            guard digits() else { return false }
        }
        if byte() == UInt8(ascii: "e") || byte() == UInt8(ascii: "E") {
            index += 1
            if byte() == UInt8(ascii: "+") || byte() == UInt8(ascii: "-") { index += 1 }
            guard digits() else { return false }
        }
        finishToken(at: index)
        return true
    }

    private mutating func word(_ word: String) -> Bool {
        guard bytes[position...].starts(with: word.utf8) else { return false }
        finishToken(at: position + word.utf8.count)
        return true
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        finishToken(at: position + 1)
        return true
    }

    /// Where the token read last ends, before the space behind it.
    private var lastTokenEnd = 0

    private mutating func finishToken(at end: Int) {
        lastTokenEnd = end
        position = end
        skipSpace()
    }

    private mutating func skipSpace() {
        let space: [4 of UInt8] = [0x20, 0x09, 0x0A, 0x0D]
        while position < bytes.count, space.indices.contains(where: { space[$0] == bytes[position] }) { position += 1 }
    }

    private func text(from start: Int, to end: Int) -> String {
        String(decoding: bytes[start..<end], as: UTF8.self)
    }
}
