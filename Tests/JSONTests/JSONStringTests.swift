// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite("JSON strings")
struct JSONStringTests {
    @Test(arguments: [
        ("", #""""#),
        ("61622f63", #""ab/c""#),
        ("225c", #""\"\\""#),
        ("0a0d0900011f", #""\n\r\t\u0000\u0001\u001f""#),
        ("7fc280c29fc2a0", "\"\\u007f\\u0080\\u009f\u{a0}\""),
        ("c3a9e282acf09f9a80", #""é€🚀""#),
        ("ff61", "\"\u{fffd}a\""),
        ("e28261c3", "\"\u{fffd}a\u{fffd}\""),
        ("eda080", "\"\u{fffd}\u{fffd}\u{fffd}\""),
    ])
    func escaping(_ hex: String, _ expected: String) {
        let bytes = Self.bytes(hex)
        var output: [UInt8] = [0x3a]
        JSONString.append(unsafe bytes.span.bytes, to: &output)
        #expect(String(decoding: output, as: UTF8.self) == ":" + expected)
        var fromString: [UInt8] = [0x3a]
        JSONString.append(String(decoding: bytes, as: UTF8.self), to: &fromString)
        #expect(fromString == output)
    }

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.utf8)
        return stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)
        }
    }
}
