// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

/// What an operator sets on a host, and takes away again.
@Suite struct SpecifyIdTests {
    @Test(
        arguments: [
            ("host-1", nil), ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", nil), ("a b", nil), ("ü", nil), ("a:b", nil),
            ("a!b%c", nil),
            ("0x", nil), ("nan", nil), ("1.2.3", nil), ("12a", nil), (String(repeating: "x", count: 256), nil),
            ("", "or none"), ("a=b", "settings run together"), ("a\nb", "control characters"),
            ("a\u{7f}", "control characters"),
            ("a;b", "mean something"), ("$HOME", "mean something"), ("a\\b", "mean something"),
            ("`id`", "mean something"),
            ("a#b", "mean something"), ("a'b", "mean something"), ("\"a\"", ""), (" a", ""), ("a ", ""), (" ", ""),
            ("12", "reads as a number"), ("-1.5e3", "reads as a number"),
            (String(repeating: "x", count: 257), "longer than 256"),
        ] as [(String, String?)]
    )
    func anId(id: String, problem: String?) {
        var configuration = load("[agent]\nid = before\n").configuration
        let before = configuration
        let said = configuration.specify(id: id)
        if let problem {
            #expect(said?.hasPrefix("id: ") == true && said?.contains(problem) == true, "\(said ?? "nothing")")
            #expect(said?.contains("\n") == false)
            #expect(configuration == before, "all or nothing")
            return
        }
        #expect(said == nil && configuration.agent.id == id)
        // What is taken here is what the agent reads after it was written.
        let text = SpecifiedEnvironment.setting(["specified_id": id], in: [])
        let written = SpecifiedEnvironment.parse(text: text, file: "f")
        #expect(written.values["specified_id"]?.text == id && written.diagnostics.isEmpty)
        #expect(AgentConfiguration.load(from: parse(""), specifiedEnv: written).configuration.agent.id == id)
    }

    /// Of any text: what is accepted is read back as it was.
    @Test(arguments: 0..<300 as Range<UInt64>)
    func whatIsAcceptedIsReadBack(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        let alphabet = Array("aZ09 -_.:!\"'\\$#;`=\t\n\r%{}[]()ü\u{0}\u{301}\u{a0}\u{2028}+eE")
        let id = String(
            (0..<Int.random(in: 0...12, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" }
        )
        var configuration = AgentConfiguration()
        guard configuration.specify(id: id) == nil else { return }
        let text = SpecifiedEnvironment.setting(
            ["specified_id": id, "other": "x"],
            in: Array("# c\nspecified_id = old".utf8)
        )
        let values = SpecifiedEnvironment.parse(text: text, file: "f").values
        #expect(
            values["specified_id"]?.text == id && values["other"]?.text == "x",
            "seed \(seed): \(id.debugDescription)"
        )
    }

    // MARK: Files

    static let removals: [(before: String, after: String)] = [
        ("", ""), ("\n", "\n"), ("specified_id = a", ""), ("specified_id = a\n", ""),
        ("specified_id=a\nspecified_id : b\n", ""),
        ("a = 1\nspecified_id = x\nb = 2\n", "a = 1\nb = 2\n"), ("a = 1\nspecified_id = x", "a = 1"),
        (
            "# specified_id = a\n;specified_id = b\n!specified_id = c\n",
            "# specified_id = a\n;specified_id = b\n!specified_id = c\n"
        ),
        ("specified_idc = a\nspecified_id_x = b\n", "specified_idc = a\nspecified_id_x = b\n"),
        ("  specified_id\t= a \r\n\r\nx\n", "\r\nx\n"), ("specified_id\n", "specified_id\n"),
        ("x = specified_id = 1\n", "x = specified_id = 1\n"),
    ]

    @Test(arguments: removals.indices)
    func removing(index: Int) {
        let (before, after) = Self.removals[index]
        let text = SpecifiedEnvironment.removing(["specified_id", "SPECIFIED_AGENT_ID"], from: Array(before.utf8))
        #expect(String(decoding: text, as: UTF8.self) == after)
        #expect(SpecifiedEnvironment.parse(text: text, file: "f").values["specified_id"] == nil)
        #expect(SpecifiedEnvironment.removing(["specified_id"], from: text) == text)
        #expect(SpecifiedEnvironment.removing([], from: Array(before.utf8)) == Array(before.utf8))
    }

    /// Set and removed, a file is what it was: also bytes that are no text.
    @Test(arguments: ["", "a = 1\n", "# c\n\na = 1\nb : \"2\"\n", "\u{0}\n\u{feff}x\n"])
    func settingAndRemoving(before: String) {
        for garbage in [[], [0xff, 0xfe, 0x0a], [0x80, 0x3d, 0x80, 0x0a]] as [[UInt8]] {
            let bytes = garbage + Array(before.utf8)
            let set = SpecifiedEnvironment.setting(["specified_id": "x", "specified_idc": "y"], in: bytes)
            #expect(SpecifiedEnvironment.parse(text: set, file: "f").values["specified_idc"]?.text == "y")
            let removed = SpecifiedEnvironment.removing(["specified_id", "specified_idc"], from: set)
            #expect(removed == bytes, "\(removed)")
            let one = SpecifiedEnvironment.removing(["specified_idc"], from: set)
            #expect(one == SpecifiedEnvironment.setting(["specified_id": "x"], in: bytes))
        }
    }

    /// An editor on another system may have put a mark in front of the first line.
    @Test func aByteOrderMark() {
        let bytes: [UInt8] = [0xef, 0xbb, 0xbf] + Array("specified_id = a\nb = 1\n".utf8)
        #expect(SpecifiedEnvironment.parse(text: bytes, file: "f").values["specified_id"]?.text == "a")
        let set = SpecifiedEnvironment.setting(["specified_id": "x"], in: bytes)
        #expect(SpecifiedEnvironment.parse(text: set, file: "f").values["specified_id"]?.text == "x")
        let removed = SpecifiedEnvironment.removing(["specified_id"], from: bytes)
        let values = SpecifiedEnvironment.parse(text: removed, file: "f").values
        #expect(values["specified_id"] == nil && values["b"]?.text == "1")
    }
}
