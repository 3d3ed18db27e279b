// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// What the guard did, in lines with their time; beside the agent's log, and for the journal.
struct UpgradeLog {
    /// Bytes at which the file is put aside.
    private static let limit = 1 << 20

    let path: String

    func line(_ text: String) {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe _ = localtime_r(&now, &parts)
        let day = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        let stamp = unsafe "\(day) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        let line = Array("\(stamp) \(text)\n".utf8)
        unsafe line.withUnsafeBytes { bytes in unsafe _ = write(2, bytes.baseAddress, bytes.count) }
        var status = stat()
        if unsafe stat(path, &status) == 0, status.st_size > Self.limit {
            try? FileDescriptor.rename(path, to: "\(path).old")
        }
        // An upgrade goes on without a log.
        guard let file = try? FileDescriptor.open(path, .append, permissions: 0o600) else { return }
        unsafe try? file.writeAll(line.span.bytes)
    }

    private func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }

    func result(_ program: HostProgram, _ result: HostProgram.Result) {
        line("\(program.name) \(program.arguments.joined(separator: " ")): exit code \(result.exitCode)")
        for text in result.text.split(separator: "\n") { line("    \(text)") }
    }
}
