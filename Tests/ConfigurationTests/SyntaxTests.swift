// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

@Suite struct SyntaxTests {
    typealias Section = ConfigurationFile.Section
    typealias Entry = ConfigurationFile.Entry

    @Test func readsSectionsNamesKeysAndComments() {
        let text = """
            # comment = none
            ; another

              [agent]\u{20}
            idc=a
              log_level   =   debug\t
            empty =
            equation = a = b
            [region "eu west"]
            private = [::1]:80
            [ plugin\t"x-1" ]
            [agent]
            idc = b
            """
        let result = parse(text)
        #expect(result.usable)
        #expect(result.diagnostics.isEmpty)
        #expect(result.file.path == path)
        #expect(result.file.folder == "/etc/elkeid")
        let sections: [(String, String?, Int, [(String, String, Int)])] = [
            (
                "agent", nil, 4,
                [("idc", "a", 5), ("log_level", "debug", 6), ("empty", "", 7), ("equation", "a = b", 8)]
            ),
            ("region", "eu west", 9, [("private", "[::1]:80", 10)]),
            ("plugin", "x-1", 11, []),
            ("agent", nil, 12, [("idc", "b", 13)]),
        ]
        #expect(result.file.sections.count == sections.count)
        for (section, (kind, name, line, entries)) in zip(result.file.sections, sections) {
            #expect(section.kind == kind)
            #expect(section.name == name)
            #expect(section.line == line)
            #expect(section.entries.map(\.key) == entries.map(\.0))
            #expect(section.entries.map(\.value) == entries.map(\.1))
            #expect(section.entries.map(\.line) == entries.map(\.2))
        }
    }

    @Test(arguments: [
        "", "\n", "\r\n", "#", "# only a comment", "\u{feff}", "\u{feff}[agent]\nidc = x", "[agent]\r\nidc = x\r\n\r\n",
        "[agent]", "[agent]\n\n\n",
    ])
    func acceptsTextOfAnyShape(text: String) {
        let result = load(text)
        #expect(result.usable)
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration.agent.idc == (text.contains("idc") ? "x" : "default"))
    }

    static let broken: [(String, [Diagnostic])] = [
        (
            "[agent]\nidc\n",
            [
                error(
                    2,
                    #""idc" is not a [section], a comment or key = value"#,
                    "write key = value, or put # in front to make it a comment"
                )
            ]
        ),
        (
            "[agent]\n\n = x",
            [
                error(
                    3,
                    "there is no key in front of the =",
                    "write key = value"
                )
            ]
        ),
        (
            "idc = x",
            [
                error(
                    1,
                    #"the key "idc" stands before any section"#,
                    "put the header of its section above it, such as [agent]"
                )
            ]
        ),
        (
            "[agent",
            [
                error(
                    1,
                    #"the section header "[agent" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[]",
            [
                error(
                    1,
                    #"the section header "[]" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[ ]",
            [
                error(
                    1,
                    #"the section header "[ ]" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[",
            [
                error(
                    1,
                    #"the section header "[" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[plugin driver]",
            [
                error(
                    1,
                    #"the section header "[plugin driver]" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[plugin \"]",
            [
                error(
                    1,
                    #"the section header "[plugin "]" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[plugin \"a\"b\"]",
            [
                error(
                    1,
                    #"the section header "[plugin "a"b"]" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[agent] # x",
            [
                error(
                    1,
                    #"the section header "[agent] # x" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[ägent]",
            [
                error(
                    1,
                    #"the section header "[ägent]" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[agent]\nidc = a\0b",
            [
                error(
                    2,
                    "the line contains a NUL byte",
                    "save the file as UTF-8 text"
                )
            ]
        ),
        // Bytes of the file must not control the terminal that shows the message.
        (
            "[agent]\u{1b}[2J\n",
            [
                error(
                    1,
                    #"the section header "[agent]\u{1b}[2J" is malformed"#,
                    #"write [section] or [section "name"]"#
                )
            ]
        ),
        (
            "[agent]\noops\nidc = x\noops too\n",
            [
                error(
                    2,
                    #""oops" is not a [section], a comment or key = value"#,
                    "write key = value, or put # in front to make it a comment"
                ),
                error(
                    4,
                    #""oops too" is not a [section], a comment or key = value"#,
                    "write key = value, or put # in front to make it a comment"
                ),
            ]
        ),
    ]

    @Test(arguments: broken)
    func reportsBrokenLines(text: String, expected: [Diagnostic]) {
        let result = parse(text)
        #expect(!result.usable)
        #expect(result.diagnostics.hasErrors(strict: false))
        #expect(result.diagnostics == expected)
    }

    @Test func refusesWhatIsNotUTF8() {
        let bytes = Array("[agent]\nidc = ".utf8) + [0xc3, 0x28] + Array("\nregion = x\n".utf8)
        let result = ConfigurationFile.parse(text: bytes, file: path)
        #expect(!result.usable)
        #expect(
            messages(result.diagnostics) == [
                "error agent.conf:2: the line is not valid UTF-8; save the file as UTF-8 text"
            ]
        )
        let utf16: [UInt8] = [0xff, 0xfe, 0x5b, 0x00, 0x61, 0x00, 0x5d, 0x00]
        #expect(!ConfigurationFile.parse(text: utf16, file: path).usable)
    }

    @Test func refusesLongLinesAndFiles() {
        let prefix = "[agent]\nidc = "
        let limit = 8192 - "idc = ".utf8.count
        #expect(parse(prefix + String(repeating: "x", count: limit)).usable)
        #expect(
            messages(parse(prefix + String(repeating: "x", count: limit + 1) + "\n").diagnostics) == [
                "error agent.conf:2: the line is longer than 8192 bytes; "
                    + "shorten it; a list may be spread over several lines with the same key"
            ]
        )
        let largest = String(repeating: "#\n", count: 1 << 19)
        #expect(parse(largest).usable)
        #expect(
            messages(parse(largest + "#").diagnostics) == [
                "error agent.conf: the file has 1048577 bytes, more than 1048576; check that this is the right file"
            ]
        )
    }

    @Test func limitsTheNumberOfDiagnostics() {
        let result = parse(String(repeating: "garbage\n", count: 1000))
        #expect(result.diagnostics.count == 101)
        #expect(
            messages(result.diagnostics).last
                == "error agent.conf: 900 more errors are not listed; correct the ones above and check again"
        )

        // An error counts, however many warnings are in front of it.
        let many = load("[agent]\n" + String(repeating: "unknown_key = x\n", count: 5000) + "log_level = loud\n")
        #expect(many.diagnostics.count == 102)
        #expect(many.diagnostics.hasErrors(strict: false))
    }

    @Test func anUnusableFileLeavesTheDefaults() {
        let result = load("[agent]\nidc = x\noops\n", environment: ["specified_region": "default"])
        #expect(!result.usable)
        #expect(result.configuration == AgentConfiguration(folder: "/etc/elkeid"))
        #expect(result.diagnostics.count == 1)
    }

    @Test func strictTurnsWarningsIntoErrors() {
        let warnings = load("[agent]\nnew_key = 1\n").diagnostics
        #expect(!warnings.hasErrors(strict: false))
        #expect(warnings.hasErrors(strict: true))
        #expect(![Diagnostic]().hasErrors(strict: true))
    }
}
