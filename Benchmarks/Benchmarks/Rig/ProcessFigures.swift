// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// What the kernel knows of a process, from outside.
struct ProcessFigures {
    let pid: Int32

    /// CPU time so far, in nanoseconds (clock_getcpuclockid(3)).
    var processorTime: Double {
        var clock = clockid_t()
        var time = timespec()
        guard unsafe clock_getcpuclockid(pid, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else { return .nan }
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    /// Both kinds of context switches so far.
    var contextSwitches: Int {
        value("status", "voluntary_ctxt_switches:") + value("status", "nonvoluntary_ctxt_switches:")
    }

    /// Kilobytes: resident in all, of which anonymous, and this process's share where pages are shared.
    var memory: (resident: Int, anonymous: Int, proportional: Int) {
        (
            value("smaps_rollup", "Rss:"), value("smaps_rollup", "Anonymous:"), value("smaps_rollup", "Pss:")
        )
    }

    /// Kilobytes: resident, and the most that were (since that was last reset, proc(5) clear_refs).
    var resident: (now: Int, peak: Int) { (value("status", "VmRSS:"), value("status", "VmHWM:")) }

    /// Does a debugger follow it?
    var isTraced: Bool { value("status", "TracerPid:") != 0 }

    private func value(_ file: String, _ name: String) -> Int {
        let bytes = (try? FileDescriptor.readFile("/proc/\(pid)/\(file)")) ?? []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            return words.count > 1 ? Int(words[1]) ?? 0 : 0
        }
        return 0
    }
}
