// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// Plugins of the four libraries without an agent: records as lines that people read.
extension Integration {
    @Suite struct PluginTerminal {
        private static let odd = RecordFrame.Field(
            key: Array("a\"b\\".utf8),
            value: [0x0a, 0x1f, 0x7f, 0xff, 0xe2, 0x82, 0x41, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x98, 0x80, 0xc0, 0xaf]
        )

        /// Runs commands, with these lines typed: what is on standard output and standard error.
        private func run(
            _ language: PluginLanguage,
            _ commands: [String],
            typed: String = ""
        ) throws -> (lines: [String], said: [String]) {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            try write(commands.joined(separator: "\n") + "\n", to: folder.path + "/commands")
            try write(typed, to: folder.path + "/typed")
            let command = """
                cd '\(folder.path)' && ELKEID_PLUGIN_DEBUG=1 '\(try language.probe())' commands=commands \
                    <typed >lines 2>said 3>&- 4>&-
                """
            _ = try ChildProcess.output(of: ["/bin/sh", "-c", command])
            func lines(_ name: String) -> [String] {
                text(of: folder.path + "/" + name).split(separator: "\n").map(String.init)
            }
            return (lines("lines"), lines("said"))
        }

        @Test(arguments: PluginLanguage.allCases)
        func recordsAreLinesOfJSON(language: PluginLanguage) throws {
            let field = "field \(hex(Self.odd.key)) \(hex(Self.odd.value))"
            let (lines, _) = try run(
                language,
                [
                    "record 7001 5", "field 6b 76", field, "send", "record -1 0 high", "send", "raw 08031a00",
                    "raw 08ff", "close",
                ]
            )
            #expect(
                lines == [
                    #"{"data_type":7001,"timestamp":5,"fields":{"k":"v","a\"b\\":"\n\u001f\#u{7f}"#
                        + "\u{fffd}\u{fffd}A\u{fffd}\u{fffd}\u{fffd}\u{1f600}\u{fffd}\u{fffd}\"}}",
                    #"{"data_type":-1,"timestamp":0,"priority":"high","fields":{}}"#,
                    #"{"data_type":3,"timestamp":0,"fields":{}}"#,
                    #"{"malformed":"08ff"}"#,
                ]
            )
        }

        @Test(arguments: PluginLanguage.allCases)
        func tasksAreTyped(language: PluginLanguage) throws {
            let (_, said) = try run(
                language,
                ["receive", "receive", "receive", "receive"],
                typed: "5050 {\"a\": 1}\n\n7\nnonsense\n"
            )
            // Beside the answers there may be what the library says to people.
            #expect(
                said.filter { $0.hasPrefix("task") || $0.hasPrefix("error") || $0 == "end" } == [
                    "task 5050 - \(hex("{\"a\": 1}".utf8)) \(hex("debug-1".utf8))",
                    "task 7 - - \(hex("debug-2".utf8))", "error malformed-task", "end",
                ]
            )
        }

        /// Only where nobody has started it as a plugin.
        @Test(arguments: PluginLanguage.allCases)
        func onATerminalItNeedsNoSetting(language: PluginLanguage) throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            try write("record 7001 5\nsend\nclose\n", to: folder.path + "/commands")
            // script(1) gives it a terminal.
            let command = """
                cd '\(folder.path)' && script -qec "'\(try language.probe())' commands=commands" lines \
                    </dev/null >/dev/null 2>&1 3>&- 4>&-
                """
            _ = try ChildProcess.output(of: ["/bin/sh", "-c", command])
            #expect(text(of: folder.path + "/lines").contains(#"{"data_type":7001,"timestamp":5,"fields":{}}"#))
        }
    }
}
