// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
import Glibc
import Reactor
import Syscalls

/// A line that a developer types.
public enum ConsoleCommand: Equatable, Sendable {
    case task(PluginTask)
    case push
    case reset
    case quit

    /// "task NAME TYPE DATA", "push", "reset", "quit"; nil for an empty line.
    public static func parse(_ line: String) throws(CenterError) -> ConsoleCommand? {
        let words = line.split(separator: " ", maxSplits: 3).map(String.init)
        switch words.first {
        case nil: return nil
        case "push" where words.count == 1: return .push
        case "reset" where words.count == 1: return .reset
        case "quit" where words.count == 1, "exit" where words.count == 1: return .quit
        case "task":
            guard words.count >= 3, let type = Int32(words[2]) else {
                throw CenterError("task NAME TYPE DATA, such as: task process-collector 5050 {}")
            }
            return .task(
                PluginTask(
                    dataType: type,
                    objectName: words[1],
                    data: words.count > 3 ? words[3] : "",
                    token: "devcenter"
                )
            )
        default: throw CenterError("unknown command; there are: task NAME TYPE DATA, push, reset, quit")
        }
    }
}

/// Standard input as lines, when it is a pipe or the terminal in whose foreground we are.
final class CommandInput: ReadinessHandler {
    static let lineLimit = 1 << 20

    private var source: Source?
    private var pending: [UInt8] = []
    private let onLine: (String) -> Void

    init(reactor: Reactor, onLine: @escaping (String) -> Void) {
        self.onLine = onLine
        guard Self.canBeWatched else { return }
        // A descriptor of our own: the original is not ours to close. It is not made non-blocking either, since
        // that would be seen by everyone who shares the terminal; one read for each event never blocks.
        let copy = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { return }
        source = reactor.watch(FileDescriptor(owning: copy), for: .read, handler: self)
    }

    /// Regular files and /dev/null cannot be waited for; a terminal stops those who read it from the background.
    private static var canBeWatched: Bool {
        if isatty(STDIN_FILENO) == 1 { return tcgetpgrp(STDIN_FILENO) == getpgrp() }
        var status = stat()
        guard unsafe fstat(STDIN_FILENO, &status) == 0 else { return false }
        return [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT)
    }

    func close() {
        source?.close()
        source = nil
    }

    func handle(_ readiness: Readiness, of source: Source) {
        var chunk: [UInt8] = []
        do throws(Errno) {
            try source.withDescriptor { (fd) throws(Errno) in
                try fd.readChunk(appendingTo: &chunk, capacity: 4096)
            }
        } catch {
            if error == .again { return }
            return close()
        }
        // The end of input is not the end of the center: commands may come from a script that is done.
        if chunk.isEmpty { return close() }
        pending += chunk
        while let end = pending.firstIndex(of: 0x0a) {
            let line = String(decoding: pending[..<end], as: UTF8.self)
            pending.removeSubrange(...end)
            onLine(line)
        }
        if pending.count > Self.lineLimit { pending = [] }
    }
}
