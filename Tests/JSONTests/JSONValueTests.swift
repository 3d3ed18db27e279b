// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

struct JSONValueTests {
    static let values: [(String, JSONValue)] = [
        ("null", .null), ("true", .bool(true)), (" false ", .bool(false)), ("0", .integer(0)),
        ("-9223372036854775808", .integer(.min)), ("1.5e3", .real(1500)), ("\"\"", .string("")),
        ("\"a\\u00e9\\n\\u0000\"", .string("aé\n\0")), ("[]", .array([])), ("{}", .object([:])),
        ("[1,\"2\",[null]]", .array([.integer(1), .string("2"), .array([.null])])),
        ("{\"a\":1,\"b\":{\"c\":[]},\"a\":2}", .object(["a": .integer(2), "b": .object(["c": .array([])])])),
    ]

    @Test(arguments: values.indices)
    func reads(index: Int) throws {
        let (text, expected) = Self.values[index]
        #expect(try JSONValue(parsing: Array(text.utf8)) == expected)
    }

    static let refused = [
        "", " ", "{", "[1,]", "{\"a\"}", "nul", "1 2", "\"\\ud800\"", "\"a", "1e999", "9223372036854775808", "'a'",
        "\u{feff}{}", "[" + String(repeating: "[", count: 5000),
    ]

    @Test(arguments: refused)
    func refuses(text: String) {
        #expect(throws: JSONValue.ParseError.self) { try JSONValue(parsing: Array(text.utf8)) }
    }

    @Test func refusesWhatIsNotUTF8OrTooLong() {
        #expect(throws: JSONValue.ParseError.self) { try JSONValue(parsing: [0x22, 0xff, 0x22]) }
        let error = #expect(throws: JSONValue.ParseError.self) { try JSONValue(parsing: [0x31, 0x32], maximumSize: 1) }
        #expect(error?.message == "the text has 2 bytes, more than 1")
    }

    /// What is written reads back as what it was, on one line, and equal values as equal bytes.
    @Test(arguments: values.indices)
    func writes(index: Int) throws {
        let value = Self.values[index].1
        let text = value.encoded
        #expect(try JSONValue(parsing: text) == value)
        #expect(!text.contains(0x0a))
    }

    @Test func writesMembersInOrderAndNumbersThatExist() {
        let value = JSONValue.object(["b": .real(.infinity), "a": .strings(["x", "\""])])
        #expect(String(decoding: value.encoded, as: UTF8.self) == #"{"a":["x","\""],"b":null}"#)
        #expect(value["a"]?.strings == ["x", "\""])
        #expect(JSONValue.array([.integer(1)]).strings == nil)
    }
}
