// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import JSON
import Testing

@Suite("Control: requests and answers")
struct ProtocolTests {
    static func problem(_ line: [UInt8]) -> String? {
        do throws(ControlRequest.Problem) {
            _ = try ControlRequest(parsing: line)
            return nil
        } catch {
            return error.description
        }
    }

    /// A line, and the name and the arguments besides it and the version.
    static let good: [(String, name: String, arguments: [String: JSONValue])] = [
        (#"{"request":"status"}"#, "status", [:]),
        (#"{"v":1,"request":"status"}"#, "status", [:]),
        (" {\t\"request\" : \"status\" } \r", "status", [:]),
        (
            #"{"request":"tail","v":1,"plugins":["a","b"],"n":3}"#, "tail",
            ["plugins": .array([.string("a"), .string("b")]), "n": .integer(3)]
        ),
        (#"{"request":"a","request":"b"}"#, "b", [:]),
        (#"{"request":""}"#, "", [:]),
        (#"{"request":"\u0000\n"}"#, "\u{0}\n", [:]),
        (
            #"{"request":"x","deep":{"a":[null,true,1.5]}}"#, "x",
            ["deep": .object(["a": .array([.null, .bool(true), .real(1.5)])])]
        ),
    ]

    @Test(arguments: good.indices)
    func goodRequests(index: Int) throws {
        let (line, name, arguments) = Self.good[index]
        let request = try ControlRequest(parsing: [UInt8](line.utf8))
        #expect(request.name == name)
        #expect(request.arguments.filter { $0.key != "v" && $0.key != "request" } == arguments)
    }

    static let bad: [(String, String)] = [
        ("", "one JSON object in a line"), (" ", "one JSON object in a line"), ("status", "one JSON object in a line"),
        (#"{"request":"status""#, "one JSON object in a line"),
        (#"{"request":"status"} {}"#, "one JSON object in a line"),
        (#"{'request':'status'}"#, "one JSON object in a line"), (#"{"request":"a",}"#, "one JSON object in a line"),
        (#"{"request":"a","n":99999999999999999999}"#, "one JSON object in a line"),
        ("GET / HTTP/1.1", "one JSON object in a line"),
        ("[]", "is a JSON object"), (#"["status"]"#, "is a JSON object"), (#""status""#, "is a JSON object"),
        ("1", "is a JSON object"), ("null", "is a JSON object"), ("true", "is a JSON object"),
        ("{}", "has a name"), (#"{"v":1}"#, "has a name"), (#"{"request":null}"#, "has a name"),
        (#"{"request":7}"#, "has a name"), (#"{"request":["status"]}"#, "has a name"),
        (#"{"Request":"a"}"#, "has a name"),
        (#"{"v":2,"request":"status"}"#, "version 1"), (#"{"v":0,"request":"status"}"#, "version 1"),
        (#"{"v":"1","request":"status"}"#, "version 1"), (#"{"v":1.0,"request":"status"}"#, "version 1"),
        (#"{"v":null,"request":"status"}"#, "version 1"), (#"{"v":true,"request":"status"}"#, "version 1"),
        // Which version it is comes first: an unknown one may have other names.
        (#"{"v":2}"#, "version 1"),
    ]

    @Test(arguments: bad.indices)
    func badRequests(index: Int) throws {
        let (line, reason) = Self.bad[index]
        let problem = try #require(Self.problem([UInt8](line.utf8)))
        #expect(problem.contains(reason), "\(problem)")
        #expect(!problem.contains("\n"), "one line")
    }

    @Test(arguments: [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0x80]] as [[UInt8]])
    func textThatIsNoUTF8(bytes: [UInt8]) {
        let line = [UInt8](#"{"request":""#.utf8) + bytes + [UInt8](#""}"#.utf8)
        #expect(Self.problem(line)?.contains("one JSON object in a line") == true)
        #expect(Self.problem(bytes) != nil)
    }

    @Test func theLongestLine() throws {
        func line(_ count: Int) -> [UInt8] {
            let frame = #"{"request":""}"#
            return [UInt8](#"{"request":""#.utf8) + [UInt8](repeating: 0x61, count: count - frame.utf8.count)
                + [UInt8](#""}"#.utf8)
        }
        #expect(ControlProtocol.requestLimit == 4096)
        #expect(try ControlRequest(parsing: line(4096)).name.utf8.count == 4082)
        #expect(Self.problem(line(4097))?.contains("4096") == true)
        #expect(Self.problem([UInt8](repeating: 0x7b, count: 1 << 20))?.contains("4096") == true)
    }

    /// As deep as a line can be: no stack runs over.
    @Test(arguments: [("[", "]"), (#"{"a":"#, "}")])
    func nesting(open: String, close: String) throws {
        let depth = (4096 - 30) / (open.utf8.count + close.utf8.count)
        let deep = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        let line = [UInt8](#"{"request":"a","x":"#.utf8) + [UInt8](deep.utf8) + [UInt8]("}".utf8)
        #expect(line.count <= 4096)
        // Jansson reads 2,048 levels; no line has them.
        #expect(try ControlRequest(parsing: line).name == "a")
        let open = [UInt8](String(repeating: open, count: 4096 / open.utf8.count).utf8)
        #expect(Self.problem(open) != nil)
    }

    @Test func whatIsWrittenIsRead() throws {
        let request = ControlRequest(
            "tail\n\"",
            ["n": .integer(-1), "v": .integer(9), "request": .null, "a\nb": .string("ü\u{0}")]
        )
        let line = request.line
        #expect(line.filter { $0 == 10 }.count == 1 && line.last == 10, "one line")
        let read = try ControlRequest(parsing: line.dropLast())
        #expect(read.name == "tail\n\"")
        #expect(read.arguments["v"] == .integer(1) && read.arguments["n"] == .integer(-1))
        #expect(read.arguments["request"] == .string("tail\n\""))
        #expect(read.line == line)
    }

    // MARK: Answers

    @Test(
        arguments: [
            .result(.null), .result(.object(["a": .array([.integer(1), .string("x\ny")])])), .result(.bool(false)),
            .refusal("no such plugin: \"x\"\n"), .refusal(""),
        ] as [ControlAnswer]
    )
    func answersAreRead(answer: ControlAnswer) throws {
        let line = answer.line
        #expect(line.filter { $0 == 10 }.count == 1 && line.last == 10, "one line")
        let value = try JSONValue(parsing: line)
        #expect(value["v"] == .integer(1))
        #expect(ControlAnswer(value) == answer)
    }

    @Test(
        arguments: [
            (#"{"ok":true}"#, .result(.null)), (#"{"ok":true,"error":"x","result":3}"#, .result(.integer(3))),
            (#"{"ok":false}"#, .refusal("refused without a reason")),
            (#"{"ok":false,"error":5}"#, .refusal("refused without a reason")),
            (#"{"ok":false,"error":"why","result":1}"#, .refusal("why")),
            ("{}", nil), (#"{"ok":1}"#, nil), (#"{"ok":null}"#, nil), (#"{"ok":"true"}"#, nil), ("[]", nil),
            ("true", nil), ("1", nil),
        ] as [(String, ControlAnswer?)]
    )
    func answersOfOthers(text: String, answer: ControlAnswer?) throws {
        #expect(ControlAnswer(try JSONValue(parsing: [UInt8](text.utf8))) == answer)
    }
}
