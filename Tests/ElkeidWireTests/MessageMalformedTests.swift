// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Testing

@Suite("Malformed messages")
struct MessageMalformedTests {
    struct Malformed: Sendable, CustomTestStringConvertible {
        let name: String
        let hex: String
        let error: WireError
        /// Whether C++ protobuf accepts it nevertheless, see `WireReader`.
        var protocAccepts = false

        var testDescription: String { name }
    }

    static let commands: [Malformed] = [
        Malformed(name: "tag cut", hex: "0801 80", error: .truncated(at: 2)),
        Malformed(name: "value absent", hex: "08", error: .truncated(at: 1)),
        Malformed(name: "value cut", hex: "08ff", error: .truncated(at: 1)),
        Malformed(name: "varint of 11 bytes", hex: "08ffffffffffffffffffff01", error: .varintTooLong(at: 1)),
        Malformed(
            name: "varint of 65 bits",
            hex: "08ffffffffffffffffff02",
            error: .varintTooLong(at: 1),
            protocAccepts: true
        ),
        Malformed(name: "unknown varint of 11 bytes", hex: "20ffffffffffffffffffff01", error: .varintTooLong(at: 1)),
        Malformed(name: "tag of 11 bytes", hex: "8880808080808080808000 01", error: .varintTooLong(at: 0)),
        Malformed(name: "field number 0", hex: "0801 0001", error: .fieldNumber(at: 2)),
        Malformed(name: "field number 0, wire type 6", hex: "06", error: .fieldNumber(at: 0)),
        Malformed(name: "field number 2^29", hex: "808080801001", error: .fieldNumber(at: 0)),
        Malformed(name: "wire type 6", hex: "0e00", error: .wireType(at: 0)),
        Malformed(name: "wire type 7", hex: "27", error: .wireType(at: 0)),
        Malformed(name: "agent_ctrl as fixed32", hex: "0d01000000", error: .wireType(at: 0), protocAccepts: true),
        Malformed(name: "agent_ctrl as bytes", hex: "0a0101", error: .wireType(at: 0), protocAccepts: true),
        Malformed(name: "task as varint", hex: "0801 1001", error: .wireType(at: 2), protocAccepts: true),
        Malformed(name: "configs as group", hex: "1b 1c", error: .wireType(at: 0), protocAccepts: true),
        Malformed(name: "token as varint", hex: "1202 2001", error: .wireType(at: 2), protocAccepts: true),
        Malformed(name: "url as fixed64", hex: "1a09 310000000000000000", error: .wireType(at: 2), protocAccepts: true),
        Malformed(name: "fixed32 cut", hex: "25 010203", error: .truncated(at: 1)),
        Malformed(name: "fixed64 cut", hex: "21 01020304050607", error: .truncated(at: 1)),
        Malformed(name: "body cut", hex: "1202 08", error: .truncated(at: 1)),
        Malformed(name: "length absent", hex: "12", error: .truncated(at: 1)),
        Malformed(name: "length 2^63", hex: "1280808080808080808001", error: .truncated(at: 1)),
        Malformed(name: "length 2^64 - 1", hex: "12ffffffffffffffffff01", error: .truncated(at: 1)),
        Malformed(name: "length of 65 bits", hex: "12ffffffffffffffffff03", error: .varintTooLong(at: 1)),
        Malformed(name: "unknown body cut", hex: "2203 0102", error: .truncated(at: 1)),
        Malformed(name: "string past its message", hex: "1203 120261 0801", error: .truncated(at: 3)),
        Malformed(name: "varint past its message", hex: "1202 0880 01", error: .truncated(at: 3)),
        Malformed(name: "end of no group", hex: "0801 24", error: .unbalancedGroup(at: 2)),
        Malformed(name: "end of no group, known field", hex: "0c", error: .unbalancedGroup(at: 0)),
        Malformed(name: "group not closed", hex: "0801 23 2001", error: .unbalancedGroup(at: 2)),
        Malformed(name: "inner group not closed", hex: "23 2b 24", error: .unbalancedGroup(at: 2)),
        Malformed(name: "group closed by another", hex: "23 2c", error: .unbalancedGroup(at: 1)),
        Malformed(name: "group closed outside of its message", hex: "1201 2b 2c", error: .unbalancedGroup(at: 2)),
        Malformed(name: "field number 0 in a group", hex: "23 00 24", error: .fieldNumber(at: 1)),
        Malformed(name: "wire type 6 in a group", hex: "23 0e 24", error: .wireType(at: 1)),
        Malformed(name: "body cut in a group", hex: "23 1205 24", error: .truncated(at: 2)),
        Malformed(name: "surrogate in a config's name", hex: "1a05 0a03eda080", error: .utf8(at: 4)),
        Malformed(name: "above U+10FFFF in a url", hex: "1a06 3204f4908080", error: .utf8(at: 4)),
        Malformed(name: "invalid detail after valid fields", hex: "0801 1a06 0a0178 3a01ff", error: .utf8(at: 9)),
    ]

    @Test(arguments: commands) func command(_ malformed: Malformed) throws {
        let bytes = unhex(malformed.hex)
        #expect(throws: malformed.error) { try Command(decoding: bytes) }
        #expect((try Protoc.decode("Command", bytes) != nil) == malformed.protocAccepts)
    }

    /// A task is answered even if its text is damaged, so the rest of it must be readable.
    @Test(arguments: [
        ("1203 120180", "\u{fffd}", "", ""), ("1204 1a02e282", "", "\u{fffd}", ""),
        ("1204 2202c080", "", "", "\u{fffd}\u{fffd}"), ("1206 1201ff 120161", "a", "", ""),
        ("1209 120161 1a01ff 220174", "a", "\u{fffd}", "t"),
    ])
    func tasksWithInvalidTextAreMarked(hex: String, object: String, data: String, token: String) throws {
        let task = try #require(try Command(decoding: unhex(hex)).task)
        #expect(task.hasInvalidText)
        #expect(task.objectName == object && task.data == data && task.token == token)
        #expect(try Protoc.decode("Command", unhex(hex)) == nil)
        let valid = try #require(try Command(decoding: unhex("1209 120161 1a0162 220174")).task)
        #expect(!valid.hasInvalidText)
    }

    /// Padding a tag to more than 5 bytes is legal here and for Go, but not for C++.
    @Test func tagOfTenBytes() throws {
        let bytes = unhex("8880808080808080 8000 07")
        #expect(try Command(decoding: bytes) == Command(agentControl: 7))
        #expect(try Protoc.decode("Command", bytes) == nil)
    }

    @Test(
        arguments: [
            ("header not UTF-8", "1201ff", .utf8(at: 2)),
            ("address not UTF-8", "1a01ff", .utf8(at: 2)),
            ("records as varint", "0801", .wireType(at: 0)),
            ("agent id as varint", "1001", .wireType(at: 0)),
            ("record past the message", "0a05 0801", .truncated(at: 1)),
            ("data past its record", "0a04 1a05 0801 120161", .truncated(at: 3)),
            ("data_type as bytes", "0a03 0a0101", .wireType(at: 2)),
            ("timestamp as fixed64", "0a09 110000000000000000", .wireType(at: 2)),
            ("data as varint", "0a02 1801", .wireType(at: 2)),
            ("second record", "0a02 0801 0a02 0001", .fieldNumber(at: 6)),
        ] as [(String, String, WireError)]
    )
    func packagedData(_ name: String, _ hex: String, _ error: WireError) {
        #expect(throws: error, "\(name)") { try PackagedData(decoding: unhex(hex)) }
    }

    @Test(
        arguments: [
            ("payload as varint", "1801", .wireType(at: 0)),
            ("entry as varint", "1a02 0801", .wireType(at: 2)),
            ("key as varint", "1a04 0a02 0801", .wireType(at: 4)),
            ("value past its entry", "1a05 0a03 120561", .truncated(at: 5)),
            ("entry past its payload", "1a02 0a01 00", .truncated(at: 3)),
        ] as [(String, String, WireError)]
    )
    func record(_ name: String, _ hex: String, _ error: WireError) {
        #expect(throws: error, "\(name)") { try Record(decoding: unhex(hex)) }
    }

    /// 100 groups within each other are legal, in both.
    @Test(arguments: [(1, nil), (100, nil), (101, 100), (5000, 100)] as [(Int, Int?)])
    func depth(_ depth: Int, _ refusedAt: Int?) throws {
        let bytes = [UInt8](repeating: 0x23, count: depth) + [UInt8](repeating: 0x24, count: depth)
        if let refusedAt {
            #expect(throws: WireError.depth(at: refusedAt)) { try Command(decoding: bytes) }
        } else {
            #expect(try Command(decoding: bytes) == Command())
        }
        #expect((try Protoc.decode("Command", bytes) == nil) == (refusedAt != nil))
    }

    @Test func errorsSayWhatAndWhere() {
        let errors: [WireError] = [
            .truncated(at: 7), .varintTooLong(at: 7), .fieldNumber(at: 7), .wireType(at: 7), .unbalancedGroup(at: 7),
            .depth(at: 7), .utf8(at: 7),
        ]
        let texts = Set(errors.map(\.description))
        #expect(texts.count == errors.count)
        #expect(texts.allSatisfy { $0.hasPrefix("malformed message: ") && $0.contains("at byte 7") })
    }
}
