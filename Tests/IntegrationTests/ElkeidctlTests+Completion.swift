// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

// `elkeidctl completion`, by the shells themselves.
extension Integration.ControlTool {
    struct Line: CustomTestStringConvertible, Sendable {
        /// After "elkeidctl"; the last one is being typed.
        var words: [String]
        var completions: Set<String>
        var testDescription: String { words.joined(separator: " ") }
    }

    private static let options: Set = ["--config", "--help", "--version"]

    static let lines = [
        Line(words: [""], completions: Set(commands).union(options)),
        Line(words: ["st"], completions: ["start", "stop", "status"]),
        Line(words: ["tail", "--"], completions: ["--plugin", "--type", "--count", "--json", "--help"]),
        Line(words: ["set", "--service_type", ""], completions: ["systemd", "sysvinit"]),
        Line(words: ["set", "--service_type", "sysv"], completions: ["sysvinit"]),
        Line(words: ["set", "--idc", "east", "--r"], completions: ["--region"]),
        Line(words: ["top", "--sort", "m"], completions: ["memory"]),
        Line(words: ["completion", ""], completions: ["bash", "zsh", "fish", "--help"]),
        Line(words: ["help", "me"], completions: ["metrics"]),
        Line(words: ["nonsen"], completions: []),
    ]

    private static func script(_ shell: String, in folder: String) throws -> String {
        let answer = try Elkeidctl(configuration: folder + "/none").run("completion", shell)
        #expect(answer.exit == .code(0) && answer.errors.isEmpty)
        let file = "\(folder)/completion.\(shell)"
        try write(answer.output, to: file)
        return file
    }

    private static func bash(_ words: [String], folder: TemporaryFolder) throws -> Set<String> {
        // As bash sets them before it calls what `complete -F` names.
        let program = """
            source "$1" || exit 1
            function=$(complete -p elkeidctl | sed -n 's/.*-F \\([^ ]*\\).*/\\1/p')
            shift
            COMP_WORDS=(elkeidctl "$@")
            COMP_CWORD=$#
            "$function" elkeidctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let file = try script("bash", in: folder.path)
        let output = try ChildProcess.output(
            of: ["/usr/bin/env", "bash", "--norc", "-euc", program, "bash", file] + words
        )
        return Set(output.split(separator: "\n").map(String.init))
    }

    @Test(arguments: Self.lines)
    func bash(_ line: Line) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        #expect(try Self.bash(line.words, folder: folder) == line.completions)
    }

    /// What is before the command is not the command. Bash takes words apart at an equals sign.
    @Test(arguments: [["--config", "/etc/x", "set", "--i"], ["--config", "=", "/etc/x", "set", "--i"]])
    func bashBehindAnOption(words: [String]) throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        #expect(try Self.bash(words, folder: folder) == ["--id", "--idc"])
    }

    @Test func bashCompletesFiles() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let file = folder.path + "/elkeid.prom"
        try write("", to: file)
        #expect(try Self.bash(["metrics", "--textfile", folder.path + "/elk"], folder: folder) == [file])
        #expect(try Self.bash(["--config", folder.path + "/elk"], folder: folder) == [file])
    }

    private static func hasShell(_ name: String) -> Bool {
        ["/usr/bin", "/bin", "/usr/local/bin"].contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
        }
    }

    @Test(.enabled(if: hasShell("zsh"), "zsh is not installed"))
    func zsh() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let file = try Self.script("zsh", in: folder.path)
        _ = try ChildProcess.output(of: ["/usr/bin/env", "zsh", "-fn", file])
        #expect(text(of: file).hasPrefix("#compdef elkeidctl\n"))
        for command in Self.commands { #expect(text(of: file).contains("'\(command):")) }
    }

    /// Fish tells what it would offer.
    @Test(.enabled(if: hasShell("fish"), "fish is not installed"))
    func fish() throws {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let file = try Self.script("fish", in: folder.path)
        _ = try ChildProcess.output(of: ["/usr/bin/env", "fish", "--no-execute", file])
        for (typed, expected) in [
            ("st", ["start", "stop", "status"]), ("tail --p", ["--plugin"]),
            ("set --service_type s", ["systemd", "sysvinit"]), ("completion ", ["bash", "zsh", "fish"]),
        ] {
            let output = try ChildProcess.output(
                of: [
                    "/usr/bin/env", "HOME=\(folder.path)", "fish", "--no-config", "-c",
                    "source '\(file)'; complete -C 'elkeidctl \(typed)'",
                ]
            )
            let offered = output.split(separator: "\n").compactMap { $0.split(separator: "\t").first.map(String.init) }
            #expect(Set(offered) == Set(expected), "\(typed)")
        }
    }
}
