// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import CLinux
import Configuration
import Delivery
import Glibc
import Logging
import Reactor
import Syscalls

// Memory that is not needed any more, and how much there is.
extension Agent {
    /// Memory goes back to the kernel after a connection was made, since starting runs through code that is not needed
    /// again, and before the loop sleeps for long. What is needed all the same costs a page fault.
    func prepareToSettle() {
        let span = TimeSpan(configuration.timeouts.settle)
        // Others than timers may wake the loop much sooner, and again and again: a few times at once, but seldom on average.
        let pause = TimeSpan(nanoseconds: 2 * span.nanoseconds)
        var next = MonotonicTime.now()
        reactor.whenNothingIsDue(for: span) { [unowned self] now in
            guard next <= now + pause + pause else { return }
            next = max(next, now) + pause
            self.settle()
        }
    }

    func settleLater() { settling.arm(after: TimeSpan(configuration.timeouts.settle)) }

    /// Gives free memory, and the pages of the program's file, back to the kernel.
    func settle() {
        pool.trim(keeping: outbox.isIdle ? 0 : 1)
        CLinux_malloc_trim()
        CLinux_release_program()
    }

    /// SIGUSR2: the same, now and said.
    func returnMemory() {
        let before = residentKilobytes()
        settle()
        log.info("memory returned", metadata: ["rss_before": "\(before) kB", "rss_after": "\(residentKilobytes()) kB"])
    }

    func residentKilobytes() -> Int {
        guard let text = try? FileDescriptor.readFile("/proc/self/statm") else { return 0 }
        let fields = text.split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
    }
}
