// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import ElkeidWire
import JSON
import TestSupport
import Testing

struct StateTests {
    static let states: [ComponentState] = [
        ComponentState(),
        ComponentState(desired: [version(1)]),
        ComponentState(
            desired: [version(1, detail: "{\"a\": \"b\\n\"}"), PluginConfig(name: "bare")],
            bad: [
                "plugin": [
                    BadVersion(version(2), reason: "it ended: \"signal 11\"\n"),
                    BadVersion(identity: ComponentIdentity(version: "", sha256: ""), signature: "", reason: ""),
                ],
                "driver": [BadVersion(version(3).with { $0.signature = "AB" }, reason: "é🚀\u{0}\u{7f}\u{85}")],
            ]
        ),
    ]

    @Test(arguments: states.indices)
    func readsWhatItHasWritten(index: Int) {
        let state = Self.states[index]
        #expect(state.encoded.last == 0x0a)
        #expect(ComponentState(state.encoded) == state)
        #expect(ComponentState(state.encoded)?.encoded == state.encoded)
    }

    @Test func keepsNothingOfComponentsWithoutABadVersion() {
        let state = ComponentState(desired: [version(1)], bad: ["plugin": []])
        #expect(ComponentState(state.encoded) == ComponentState(desired: [version(1)]))
    }

    /// A file that was cut off has lost something, wherever that was.
    @Test(arguments: states.indices)
    func refusesTruncatedText(index: Int) {
        let text = Self.states[index].encoded
        // Without the end of its line it is still complete.
        #expect(ComponentState(Array(text.dropLast())) == Self.states[index])
        for length in 0..<(text.count - 1) { #expect(ComponentState(Array(text.prefix(length))) == nil, "\(length)") }
    }

    static let config = String(decoding: version(1).json.encoded, as: UTF8.self)

    static let others = [
        "", "{}", "[]", "null", "{\"format\":1}", "{\"bad\":{},\"desired\":[],\"format\":2}",
        "{\"bad\":{},\"desired\":[],\"format\":\"1\"}", "{\"bad\":{},\"desired\":[]}",
        "{\"bad\":[],\"desired\":[],\"format\":1}", "{\"bad\":{},\"desired\":{},\"format\":1}",
        "{\"bad\":{\"plugin\":{}},\"desired\":[],\"format\":1}",
        "{\"bad\":{},\"desired\":[{}],\"format\":1}", "{\"bad\":{},\"desired\":[\(config),7],\"format\":1}",
        "{\"bad\":{},\"desired\":[],\"format\":1} x",
    ]

    @Test(arguments: others)
    func refusesOtherText(text: String) { #expect(ComponentState(Array(text.utf8)) == nil) }

    /// The names of such text are right, so that it is the differences that are refused.
    @Test func acceptsWhatTheOthersAreMadeOf() {
        let text = "{\"bad\":{\"plugin\":[]},\"desired\":[\(Self.config)],\"format\":1}"
        #expect(ComponentState(Array(text.utf8))?.desired == [version(1)])
    }

    @Test func refusesRandomBytes() {
        var random = SeededRandom(seed: 1)
        for round in 0..<2000 {
            #expect(ComponentState(random.bytes(random.int(0...200))) == nil, "seed 1, round \(round)")
        }
    }

    /// Whatever becomes of a byte: it is refused, or is a state that is kept from then on.
    @Test func survivesMutations() {
        var random = SeededRandom(seed: 2)
        let text = Self.states[2].encoded
        for round in 0..<3000 {
            var bytes = text
            for _ in 0..<random.int(1...3) {
                bytes[random.int(0...(bytes.count - 1))] = UInt8(random.int(0...255))
            }
            guard let state = ComponentState(bytes) else { continue }
            #expect(ComponentState(state.encoded)?.encoded == state.encoded, "seed 2, round \(round)")
        }
    }
}

struct PluginConfigTextTests {
    static let oddTexts = [
        "", " ", "\"", "\\", "\\u0000", "\u{0}", "a\u{0}b", "\n\r\t\u{8}\u{c}", "\u{7f}\u{80}\u{9f}\u{a0}", "é",
        "e\u{301}", "🚀", "\u{2028}\u{2029}\u{feff}\u{fffd}\u{ffff}\u{10ffff}", "</script>", "{}", "[1,2]", "null",
        "../..", String(repeating: "long ", count: 20_000),
    ]

    @Test(arguments: oddTexts)
    func keepsOddTexts(text: String) throws {
        let config = PluginConfig(
            name: "plugin",
            type: text,
            version: text,
            sha256: text,
            signature: text,
            downloadURLs: [text, "", text],
            detail: text
        )
        let json = try JSONValue(parsing: config.json.encoded)
        let read = try #require(PluginConfig(json: json))
        #expect(read == config)
        // Also where texts that look the same count as equal.
        #expect(Array(read.detail.utf8) == Array(text.utf8))
    }

    /// A name is that of a folder too.
    @Test(arguments: ["", ".", "..", "a/b", "a b", "a.b", "é", "a\u{0}", String(repeating: "a", count: 201)])
    func refusesOddNames(name: String) {
        #expect(!PluginConfig.isName(name))
        #expect(PluginConfig(json: PluginConfig(name: name).json) == nil)
    }

    @Test(arguments: ["a", "A-b_9", "-", "elkeid-agent", String(repeating: "a", count: 200)])
    func keepsNames(name: String) {
        #expect(PluginConfig.isName(name))
        #expect(PluginConfig(json: PluginConfig(name: name).json) == PluginConfig(name: name))
    }

    static let members = ["name", "type", "version", "sha256", "signature", "urls", "detail"]

    @Test(arguments: members)
    func refusesAMissingOrWrongMember(name: String) throws {
        guard case .object(var fields) = version(1).json else { throw NotAnObject() }
        #expect(fields.count == Self.members.count)
        fields[name] = .integer(1)
        #expect(PluginConfig(json: .object(fields)) == nil)
        fields[name] = nil
        #expect(PluginConfig(json: .object(fields)) == nil)
    }

    private struct NotAnObject: Error {}
}

struct EmptyConfigurationGuardTests {
    /// Commands ("e" empty, "f" a full list, "a" for the agent alone, "b" for it and a full list) of one connection or
    /// of several ("|"); and what is thought of each: "+" apply, "?" doubtful, "-" control.
    static let table: [(commands: String, verdicts: String)] = [
        ("e", "?"), ("ee", "?+"), ("eee", "?++"), ("f", "+"), ("fe", "++"), ("ef", "?+"), ("efe", "?++"), ("a", "-"),
        ("ae", "-?"), ("aaee", "--?+"), ("eae", "?-+"), ("fae", "+-+"), ("b", "+"), ("be", "++"), ("e|e", "??"),
        ("ee|ee", "?+?+"), ("f|e", "+?"), ("f|ae", "+-?"), ("a|e", "-?"), ("|e", "?"),
    ]

    @Test(arguments: table.indices)
    func tellsTheMeantFromTheUnmeant(index: Int) {
        let (commands, expected) = Self.table[index]
        var guardian = EmptyConfigurationGuard()
        var verdicts = ""
        for letter in commands {
            if letter == "|" {
                guardian.connected()
                continue
            }
            let command = Command(
                agentControl: letter == "a" || letter == "b" ? 1 : 0,
                configs: letter == "f" || letter == "b" ? [version(1)] : []
            )
            switch guardian.judge(command) {
            case .apply: verdicts += "+"
            case .doubtful: verdicts += "?"
            case .control: verdicts += "-"
            }
        }
        #expect(verdicts == expected, "\(commands)")
    }
}
