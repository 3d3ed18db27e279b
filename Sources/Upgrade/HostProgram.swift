// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// A program of the host that a part of an upgrade is left to: package managers, systemctl, ourselves as elkeidctl.
struct HostProgram {
    struct Result {
        /// 128 + the signal that ended it, 127 when it could not be started.
        var exitCode: Int32
        /// What it printed, errors too; the end of it.
        var text: String

        var isSuccess: Bool { exitCode == 0 }

        /// What it says with its exit code is its own.
        var hasEndedByItself: Bool { exitCode < 127 }

        /// For a message: the last lines, and how it ended.
        var end: String {
            let lines = text.split(separator: "\n").suffix(8).joined(separator: "; ")
            return lines.isEmpty ? "exit code \(exitCode)" : "\(lines) (exit code \(exitCode))"
        }
    }

    /// Where such programs are.
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    /// Bytes of output that are kept.
    private static let outputLimit = 64 << 10

    let name: String
    let program: String
    let arguments: [String]
    /// Added to the environment, "NAME=value" each.
    var additions: [String] = []

    init(_ name: String, _ arguments: [String]) {
        self.name = name
        self.arguments = arguments
        let places = name.hasPrefix("/") ? [name] : Self.path.split(separator: ":").map { "\($0)/\(name)" }
        program = places.first { unsafe access($0, X_OK) == 0 } ?? name
    }

    var isInstalled: Bool { unsafe access(program, X_OK) == 0 && program.hasPrefix("/") }

    /// Runs it to its end.
    ///
    /// - Parameters:
    ///   - calledBy: argv[0].
    ///   - limit: seconds; then it and what it has started are killed.
    func run(calledBy own: String? = nil, limit: Int = 600) -> Result {
        guard isInstalled else { return Result(exitCode: 127, text: "\(name) is not installed") }
        do throws(Errno) {
            var pipe = try Pipe()
            let null = try FileDescriptor.open("/dev/null", .readWrite)
            guard let read = pipe.read.take(), let write = pipe.write.take() else { throw Errno.again }
            var spawn = Spawn(
                program,
                [own ?? program] + arguments,
                environment: Self.environment + additions,
                descriptors: [null.rawValue, write.rawValue, write.rawValue]
            )
            spawn.family = .ownGroup
            let pid: Int32
            do throws(Spawn.Failure) { pid = try spawn.start() } catch {
                return Result(exitCode: 127, text: "\(program): \(error)")
            }
            _ = consume write
            return Self.follow(pid, read, limit)
        } catch {
            return Result(exitCode: 127, text: "\(program): \(error)")
        }
    }

    private static var environment: [String] {
        ["PATH=\(path)", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"]
    }

    /// Reads until the program has ended: what it has started and left behind may keep the pipe open.
    private static func follow(_ pid: Int32, _ read: borrowing FileDescriptor, _ limit: Int) -> Result {
        var output: [UInt8] = []
        var status: CInt = 0
        var left = limit * 10
        while true {
            var poll = pollfd(fd: read.rawValue, events: Int16(POLLIN), revents: 0)
            let isReadable = unsafe Glibc.poll(&poll, 1, 100) > 0
            if isReadable {
                let before = output.count
                try? read.readChunk(appendingTo: &output, capacity: 16 << 10)
                if output.count > outputLimit { output.removeFirst(output.count - outputLimit) }
                if output.count > before, before < outputLimit { continue }
            }
            let ended = unsafe waitpid(pid, &status, WNOHANG)
            if ended == pid || (ended < 0 && errno == ECHILD) { break }
            if isReadable { usleep(100_000) }
            left -= 1
            if left == 0 {
                kill(-pid, SIGKILL)
                output += Array("\nkilled after \(limit) s".utf8)
            }
        }
        // What it said last.
        var poll = pollfd(fd: read.rawValue, events: Int16(POLLIN), revents: 0)
        while unsafe Glibc.poll(&poll, 1, 0) > 0 {
            let before = output.count
            try? read.readChunk(appendingTo: &output, capacity: 16 << 10)
            if output.count == before { break }
        }
        let signal = status & 0x7f
        return Result(
            exitCode: signal == 0 ? status >> 8 & 0xff : 128 + signal,
            text: String(decoding: output, as: UTF8.self)
        )
    }
}
