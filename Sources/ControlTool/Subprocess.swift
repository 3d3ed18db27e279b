// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// Programs of the host that do a part of the work: systemctl, update-rc.d, service, journalctl.
enum Subprocess {
    /// Where they are, whatever PATH the caller has (cron's is short).
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    static func find(_ program: String) -> String? {
        path.split(separator: ":").map { "\($0)/\(program)" }.first { unsafe access($0, X_OK) == 0 }
    }

    struct Result {
        var exitCode: Int32
        var output: [UInt8]
        var text: String { String(decoding: output, as: UTF8.self) }
    }

    /// How a program is started, when not as most are.
    struct Options {
        var directory: String?
        var environment: [String]?
        /// A session of its own, nothing open: a daemon.
        var isDaemon = false
        /// Open `cgroup.procs` files of the cgroups that it enters.
        var entrances: [CInt] = []
    }

    /// Runs `program`, with our standard descriptors, and waits for its end.
    ///
    /// - Returns: the exit code; 128 + the signal that ended it.
    static func run(_ program: String, _ arguments: [String]) throws(ToolError) -> Int32 {
        wait(try start(program, arguments, [0, 1, 2]))
    }

    /// Runs `program` and takes what it prints, at most `limit` bytes; its errors go with it.
    static func capture(_ program: String, _ arguments: [String], limit: Int = 4 << 20) throws(ToolError) -> Result {
        do throws(Errno) {
            var pipe = try Pipe()
            let null = try FileDescriptor.open("/dev/null", .readWrite)
            guard let read = pipe.read.take(), let write = pipe.write.take() else { throw Errno.again }
            let pid: Int32
            do throws(ToolError) {
                pid = try start(program, arguments, [null.rawValue, write.rawValue, write.rawValue])
            } catch {
                return Result(exitCode: 127, output: Array("\(error)".utf8))
            }
            _ = consume write
            var output: [UInt8] = []
            while true {
                let before = output.count
                try read.readChunk(appendingTo: &output, capacity: 64 << 10)
                if output.count == before { break }
                if output.count > limit { output.removeSubrange(limit...) }
            }
            return Result(exitCode: wait(pid), output: output)
        } catch {
            throw ToolError("\(program): \(error)")
        }
    }

    /// Starts `program`.
    ///
    /// - Returns: its pid.
    static func start(
        _ program: String,
        _ arguments: [String],
        _ descriptors: [CInt],
        _ options: Options = Options()
    ) throws(ToolError) -> Int32 {
        let path = program.hasPrefix("/") ? program : find(program)
        guard let path else { throw ToolError("\(program) is not installed") }
        var spawn = Spawn(
            path,
            [path] + arguments,
            environment: options.environment ?? processEnvironment(),
            descriptors: descriptors
        )
        spawn.directory = options.directory
        spawn.family = options.isDaemon ? .ownSession : .ours
        spawn.cgroups = options.entrances
        do throws(Spawn.Failure) { return try spawn.start() } catch { throw ToolError("\(path): \(error)") }
    }

    private static func wait(_ pid: Int32) -> Int32 {
        var status: CInt = 0
        while unsafe waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { return 127 }
        }
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }
}
