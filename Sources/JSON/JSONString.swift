// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// JSON string literals (RFC 8259, section 7) of bytes that need not be text.
public enum JSONString {
    /// Appends `text` as a JSON string with its quotation marks. Invalid UTF-8 becomes U+FFFD, and every control
    /// character (also DEL and U+0080 … U+009F, which terminals may obey) an escape.
    public static func append(_ text: RawSpan, to output: inout [UInt8]) {
        append(unsafe text.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }, to: &output)
    }

    /// Appends `text` as a JSON string, escaped in the same way.
    public static func append(_ text: String, to output: inout [UInt8]) {
        output.append(quotationMark)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": output.append(contentsOf: [backslash, UInt8(ascii: scalar)])
            case "\n": output.append(contentsOf: "\\n".utf8)
            case "\r": output.append(contentsOf: "\\r".utf8)
            case "\t": output.append(contentsOf: "\\t".utf8)
            case "\u{0}"..."\u{1f}", "\u{7f}"..."\u{9f}":
                output.append(contentsOf: "\\u00".utf8)
                output.append(hexDigit(scalar.value >> 4))
                output.append(hexDigit(scalar.value & 15))
            default: output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
        output.append(quotationMark)
    }

    private static let quotationMark = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")

    private static func hexDigit(_ value: UInt32) -> UInt8 {
        UInt8(value < 10 ? 0x30 + value : 0x57 + value)
    }
}
