// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A program in a pseudo-terminal of its own (pty(7)).
final class TerminalProgram {
    private let master: CInt
    private let process: ChildProcess
    private var received: [UInt8] = []
    /// What the program left in the terminal is read while nobody else has it open.
    private let slave: CInt

    /// - Parameter environment: "NAME=value" each.
    init(_ command: [String], columns: UInt16, rows: UInt16, environment: [String]) throws {
        (master, slave) = try ChildProcess.withoutStarts {
            var ends: (CInt, CInt) = (-1, -1)
            guard unsafe openpty(&ends.0, &ends.1, nil, nil, nil) == 0 else {
                throw Failure("no pseudo-terminal: errno \(errno)")
            }
            for descriptor in [ends.0, ends.1] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
            return ends
        }
        let device = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(slave)")
        Self.resize(master, columns, rows)
        // setsid makes the terminal the program's own, as a login does: signals of keys and of its size go there.
        process = try ChildProcess(
            ["/usr/bin/setsid", "--ctty", "--wait"] + command,
            .init(input: slave, output: device, errors: device, environment: environment)
        )
        _ = fcntl(master, F_SETFL, O_NONBLOCK)
    }

    private static func resize(_ master: CInt, _ columns: UInt16, _ rows: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = unsafe ioctl(master, UInt(TIOCSWINSZ), &size)
    }

    /// The kernel sends SIGWINCH.
    func resize(columns: UInt16, rows: UInt16) { Self.resize(master, columns, rows) }

    func type(_ keys: String) {
        _ = unsafe Array(keys.utf8).withUnsafeBytes { unsafe write(master, $0.baseAddress, $0.count) }
    }

    /// Everything that was written to the terminal.
    var output: String {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(master, $0.baseAddress, $0.count) }
            guard count > 0 else { return String(decoding: received, as: UTF8.self) }
            received += buffer[..<count]
        }
    }

    /// How keys are treated: echo and whole lines are what a shell's user expects.
    var modes: tcflag_t {
        var modes = termios()
        return unsafe tcgetattr(slave, &modes) == 0 ? modes.c_lflag : 0
    }

    func send(_ signal: CInt) { process.send(signal) }
    func waitForExit() throws -> ChildProcess.Exit { try process.waitForExit(seconds: 20, state: output) }

    func end() {
        process.end()
        close(master)
        close(slave)
    }
}

/// A program on a screen that tmux keeps: what a person sees.
final class TmuxScreen {
    private let socket: String
    static let program = ["/usr/bin/tmux", "/usr/local/bin/tmux", "/bin/tmux"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    /// - Parameter shell: a command line of sh; the screen stays when it has ended.
    init(_ shell: String, columns: Int, rows: Int, in folder: String) throws {
        socket = folder + "/tmux"
        try write("set -g remain-on-exit on\nset -g status off\n", to: folder + "/tmux.conf")
        try run(
            [
                "-f", folder + "/tmux.conf", "new-session", "-d", "-x", "\(columns)", "-y", "\(rows)", "-c", folder,
                shell,
            ]
        )
    }

    @discardableResult
    private func run(_ arguments: [String]) throws -> String {
        try ChildProcess.output(of: [Self.program ?? "tmux", "-S", socket] + arguments)
    }

    /// The lines, without the blanks behind them.
    func lines(_ options: String...) throws -> [String] {
        // Each has its line feed.
        try run(["capture-pane", "-p"] + options).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            .map(String.init)
    }

    func type(_ keys: String) throws { try run(["send-keys", "-l", keys]) }

    func resize(columns: Int, rows: Int) throws {
        try run(["resize-window", "-x", "\(columns)", "-y", "\(rows)"])
    }

    /// Waits for a screen that is as it should be.
    @discardableResult
    func wait(for what: String, _ isRight: ([String]) -> Bool) throws -> [String] {
        try eventually(what, state: (try? lines().joined(separator: "\n")) ?? "") {
            let lines = try lines()
            return isRight(lines) ? lines : nil
        }
    }

    func end() { _ = try? run(["kill-server"]) }
}
