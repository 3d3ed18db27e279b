// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What is used of `/proc/<pid>/stat`, see proc_pid_stat(5). Ranges are indices of the bytes it was parsed from.
struct ProcessStat {
    var comm: Range<Int>
    var state: Range<Int>
    var ppid: Range<Int>
    var pgid: Range<Int>
    var sid: Range<Int>
    /// Clock ticks from boot to the start of the process.
    var startTicks: UInt64
    /// A thread of the kernel, which has neither an executable nor arguments.
    var isKernelThread: Bool

    /// PF_KTHREAD of the kernel's include/linux/sched.h.
    private static let kernelThreadFlag: UInt64 = 0x0020_0000

    /// Parses `pid (comm) state ppid …`. The name can hold any byte, so it ends at the last closing parenthesis.
    init?(_ bytes: Span<UInt8>, in range: Range<Int>) {
        guard let open = bytes.firstIndex(of: UInt8(ascii: "("), in: range),
            let close = bytes.lastIndex(of: UInt8(ascii: ")"), in: range), open < close
        else { return nil }
        comm = (open + 1)..<close
        var rest = min(close + 2, range.upperBound)..<range.upperBound
        func next() -> Range<Int>? { bytes.takePart(of: &rest, upTo: UInt8(ascii: " ")) }
        guard let state = next(), let ppid = next(), let pgid = next(), let sid = next() else { return nil }
        (self.state, self.ppid, self.pgid, self.sid) = (state, ppid, pgid, sid)
        // Fields 7 and 8: tty_nr, tpgid. Field 9: flags.
        guard next() != nil, next() != nil, let flags = next(), let flags = bytes.decimal(in: flags) else { return nil }
        isKernelThread = flags & Self.kernelThreadFlag != 0
        // Fields 10 to 21 are not used; field 22: starttime.
        for _ in 10...21 {
            guard next() != nil else { return nil }
        }
        guard let ticks = next(), let startTicks = bytes.decimal(in: ticks) else { return nil }
        self.startTicks = startTicks
    }
}
