// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// `elkeidctl top`, on terminals.
extension Integration {
    @Suite struct Top {
        /// "b" is the one that does most, and "c" the one that writes most in a record.
        private static func start(_ scenario: Scenario) throws -> AgentRun {
            for (name, rate) in [("a", 20), ("b", 600), ("c", 200)] {
                try scenario.addWriter(name, ["rate": rate, "seconds": 600])
            }
            _ = try scenario.startServer()
            let agent = try scenario.startAgent(["agent": ["id": "top-test"]])
            try agent.wait(for: "get connection successfully")
            for plugin in scenario.plugins { _ = try plugin.waitForLaunch(state: scenario.state) }
            return agent
        }

        private static func command(_ scenario: Scenario) throws -> [String] {
            [try Elkeidctl.program(), "--config", scenario.configurationPath, "top", "--interval", "1"]
        }

        private static func environment(_ more: String...) -> [String] {
            TestEnvironment.withoutProxies.filter { !$0.hasPrefix("NO_COLOR=") && !$0.hasPrefix("TERM=") }
                + ["TERM=xterm-256color"] + more
        }

        /// The plugins' names in the order of their rows.
        private static func rows(_ lines: [String]) -> [String] {
            guard let head = lines.firstIndex(where: { $0.hasPrefix("PLUGIN ") }) else { return [] }
            return lines[(head + 1)...].compactMap { line in
                let name = line.split(separator: " ").first.map(String.init)
                return name.flatMap { ["a", "b", "c"].contains($0) ? $0 : nil }
            }
        }

        // MARK: As a person sees it

        @Test(.enabled(if: TmuxScreen.program != nil, "tmux is not installed"))
        func onAScreen() throws {
            try Scenario.run { scenario in
                let agent = try Self.start(scenario)
                let command = try Self.command(scenario).joined(separator: " ")
                let shell = "stty -a >before; \(command); echo code $?; stty -a >after; cat"
                let screen = try TmuxScreen(shell, columns: 130, rows: 40, in: scenario.folder.path)
                defer { screen.end() }
                let first = try screen.wait(for: "the plugins") { Self.rows($0) == ["a", "b", "c"] }
                #expect(first.contains { $0.contains("top-test") }, "\(first)")
                #expect(first.last { !$0.isEmpty }?.contains("q quits") == true, "\(first)")
                #expect(first.firstIndex { $0.contains("q quits") } == 39, "the last line is the foot")
                try screen.type("r")
                try screen.wait(for: "the order of rates") { Self.rows($0) == ["b", "c", "a"] }
                try screen.type("n")
                try screen.wait(for: "the order of names") { Self.rows($0) == ["a", "b", "c"] }
                for (key, word) in [("c", "cpu"), ("m", "memory"), ("d", "drops")] {
                    try screen.type(key)
                    try screen.wait(for: word) { $0.contains { $0.contains("(\(word))") } && Self.rows($0).count == 3 }
                }
                try screen.type("n ")
                try screen.wait(for: "the pause") { $0.contains { $0.contains("paused") } }
                // It is drawn anew at once, though nothing is asked any more.
                try screen.resize(columns: 60, rows: 24)
                let small = try screen.wait(for: "the smaller screen") { lines in
                    lines.count == 24 && lines[23].hasPrefix("sort: ") && Self.rows(lines) == ["a", "b", "c"]
                }
                #expect(small.allSatisfy { $0.count <= 60 })
                print((first + small).joined(separator: "\n"))
                try screen.resize(columns: 130, rows: 40)
                try screen.wait(for: "the large screen") { $0.count == 40 && $0[39].hasPrefix("sort: ") }
                #expect(
                    try !screen.lines().dropLast().contains { $0.hasPrefix("sort: ") },
                    "nothing of the smaller one is left"
                )
                try screen.type("q")
                let left = try screen.wait(for: "the end") { $0.contains("code 0") }
                #expect(left.filter { !$0.isEmpty } == ["code 0"], "the screen is as it was before")
                let folder = scenario.folder.path
                try eventually("stty") { (!text(of: folder + "/after").isEmpty).asAnswer }
                #expect(text(of: folder + "/before") == text(of: folder + "/after"))
                try agent.stop()
            }
        }

        // MARK: As the terminal gets it

        private static let enter = "\u{1b}[?1049h\u{1b}[?25l"
        private static let leave = "\u{1b}[?25h\u{1b}[?1049l"

        struct Ending: CustomTestStringConvertible, Sendable {
            var keys = ""
            var signal: CInt?
            var testDescription: String { signal.map { "signal \($0)" } ?? keys.debugDescription }
        }

        /// However it ends, the terminal is as it was.
        @Test(arguments: [Ending(keys: "q"), Ending(keys: "\u{3}"), Ending(keys: "\u{4}"), Ending(signal: SIGTERM)])
        func restoresTheTerminal(_ ending: Ending) throws {
            try Scenario.run { scenario in
                try scenario.configure()
                let terminal = try TerminalProgram(
                    ["/bin/sh", "-c", "echo $$; exec \"$@\"", "sh"] + Self.command(scenario),
                    columns: 100,
                    rows: 30,
                    environment: Self.environment()
                )
                defer { terminal.end() }
                let before = terminal.modes
                #expect(before & tcflag_t(ECHO | ICANON) == tcflag_t(ECHO | ICANON))
                try eventually("the first picture", state: terminal.output) {
                    terminal.output.contains("q quits").asAnswer
                }
                #expect(terminal.modes & tcflag_t(ECHO | ICANON) == 0)
                #expect(terminal.output.contains(Self.enter) && !terminal.output.contains(Self.leave))
                // Without an agent it says so, and waits for one.
                #expect(terminal.output.contains("elkeidctl start"))
                if let signal = ending.signal {
                    let pid = try #require(
                        terminal.output.split(whereSeparator: \.isNewline).first.flatMap { pid_t($0) }
                    )
                    kill(pid, signal)
                } else {
                    terminal.type(ending.keys)
                }
                #expect(try terminal.waitForExit() == .code(0))
                #expect(terminal.output.hasSuffix(Self.leave), "\(terminal.output.suffix(80).debugDescription)")
                #expect(terminal.modes == before)
            }
        }

        /// Colours are for who wants them.
        @Test(arguments: [true, false])
        func colours(areWanted: Bool) throws {
            try Scenario.run { scenario in
                let agent = try Self.start(scenario)
                let environment = areWanted ? Self.environment() : Self.environment("NO_COLOR=1")
                let terminal = try TerminalProgram(
                    Self.command(scenario) + ["--sort", "records"],
                    columns: 120,
                    rows: 30,
                    environment: environment
                )
                defer { terminal.end() }
                try eventually("two pictures", state: terminal.output) {
                    (terminal.output.components(separatedBy: "q quits").count > 2).asAnswer
                }
                #expect(terminal.output.contains("(records)"))
                #expect(terminal.output.contains("\u{1b}[32m") == areWanted)
                // Nothing but what moves the cursor, in either case.
                let colour = /\u{1b}\[[0-9;]*m/
                #expect((terminal.output.firstMatch(of: colour) != nil) == areWanted)
                terminal.type("q")
                #expect(try terminal.waitForExit() == .code(0))
                try agent.stop()
            }
        }

        @Test func needsATerminal() throws {
            try Scenario.run { scenario in
                try scenario.configure()
                let answer = try scenario.elkeidctl.run("top")
                #expect(answer.exit == .code(1) && answer.output.isEmpty)
                #expect(answer.errors.hasPrefix("Error: top is for a terminal"), "\(answer)")
                // Keys must come from somewhere, too.
                let terminal = try TerminalProgram(
                    ["/bin/sh", "-c", "exec \"$@\" </dev/null", "sh"] + Self.command(scenario),
                    columns: 100,
                    rows: 30,
                    environment: Self.environment()
                )
                defer { terminal.end() }
                #expect(try terminal.waitForExit() == .code(1))
                #expect(terminal.output.hasPrefix("Error: top takes keys"), "\(terminal.output.debugDescription)")
            }
        }
    }
}
