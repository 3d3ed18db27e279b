// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import Testing

@Suite("Console: colours, and the terminal")
struct StyleTests {
    @Test(
        arguments: [
            ([:], true), (["TERM": "xterm"], true), (["TERM": ""], true), (["TERM": "dumb"], false),
            (["NO_COLOR": "1"], false),
            (["NO_COLOR": "0"], false), (["NO_COLOR": " "], false), (["NO_COLOR": ""], true),
            (["NO_COLOR": "", "TERM": "dumb"], false),
            (["NO_COLOR": "1", "TERM": "xterm"], false), (["no_color": "1", "TERM": "dumber"], true),
        ] as [([String: String], Bool)]
    )
    func whoWantsColours(environment: [String: String], isWanted: Bool) {
        #expect(Style.isWanted(environment, isTerminal: true) == isWanted)
        #expect(!Style.isWanted(environment, isTerminal: false))
    }

    @Test(
        arguments: [
            (.good, "\u{1b}[32mx\u{1b}[0m"), (.warning, "\u{1b}[33mx\u{1b}[0m"), (.bad, "\u{1b}[31mx\u{1b}[0m"),
            (.dim, "\u{1b}[2mx\u{1b}[0m"), (.strong, "\u{1b}[1mx\u{1b}[0m"), (.plain, "x"),
        ] as [(Style.Tone, String)]
    )
    func tones(tone: Style.Tone, text: String) {
        #expect(Style(isColoured: true)("x", tone) == text)
        #expect(Style(isColoured: false)("x", tone) == "x")
    }

    /// A pipe is no terminal, takes everything, and its reader may go.
    @Test func aPipe() throws {
        var ends: [CInt] = [-1, -1]
        try #require(unsafe pipe(&ends) == 0)
        let terminal = Terminal(descriptor: ends[1])
        #expect(!terminal.isInteractive && terminal.size == (100, 40))
        terminal.line("ü")
        terminal.write("")
        var bytes = [UInt8](repeating: 0, count: 10)
        #expect(unsafe read(ends[0], &bytes, 10) == 3 && bytes.prefix(3) == [0xc3, 0xbc, 0x0a])
        #expect(!terminal.isBroken)
        close(ends[1])
        close(ends[0])
    }

    @Test func aReaderThatHasGone() async {
        await #expect(processExitsWith: .success) {
            // As elkeidctl does: the end of the reader is no reason to die.
            signal(SIGPIPE, SIG_IGN)
            var ends: [CInt] = [-1, -1]
            try #require(unsafe pipe(&ends) == 0)
            close(ends[0])
            let terminal = Terminal(descriptor: ends[1])
            terminal.write("x")
            #expect(terminal.isBroken)
            terminal.write(String(repeating: "x", count: 1 << 20))
            #expect(terminal.isBroken)
        }
    }
}
