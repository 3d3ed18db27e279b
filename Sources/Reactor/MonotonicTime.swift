// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Syscalls

/// A point on CLOCK_BOOTTIME, in nanoseconds: it never goes back, whatever is done to the wall clock, and counts the time
/// in which the machine was suspended, so what came due meanwhile is due upon waking.
public struct MonotonicTime: Comparable, Hashable, Sendable {
    public let nanoseconds: UInt64

    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// clock_gettime(2), served by the vDSO without entering the kernel.
    public static func now() -> MonotonicTime {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }

    /// CLOCK_MONOTONIC where timers cannot count suspended time: kernels before 3.15 (timerfd_create(2)).
    static let clock: clockid_t = {
        let probe = CLinux_timerfd_create(CLOCK_BOOTTIME)
        guard probe >= 0 else { return CLOCK_MONOTONIC }
        _ = FileDescriptor(owning: probe)
        return CLOCK_BOOTTIME
    }()

    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }
    public static let distantFuture = MonotonicTime(nanoseconds: .max)

    public static func + (time: MonotonicTime, span: TimeSpan) -> MonotonicTime {
        let (sum, overflow) = time.nanoseconds.addingReportingOverflow(UInt64(max(0, span.nanoseconds)))
        return overflow ? .distantFuture : MonotonicTime(nanoseconds: sum)
    }

    public static func - (later: MonotonicTime, earlier: MonotonicTime) -> TimeSpan {
        TimeSpan(nanoseconds: Int64(clamping: later.nanoseconds) - Int64(clamping: earlier.nanoseconds))
    }
}

/// A length of time in nanoseconds.
public struct TimeSpan: Comparable, Hashable, Sendable, CustomStringConvertible {
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
    public static func seconds(_ value: Int64) -> TimeSpan {
        let (product, overflow) = value.multipliedReportingOverflow(by: 1_000_000_000)
        return TimeSpan(nanoseconds: overflow ? .max : product)
    }
    public static func milliseconds(_ value: Int64) -> TimeSpan {
        let (product, overflow) = value.multipliedReportingOverflow(by: 1_000_000)
        return TimeSpan(nanoseconds: overflow ? .max : product)
    }
    public static let zero = TimeSpan(nanoseconds: 0)
    public var seconds: Double { Double(nanoseconds) / 1e9 }
    /// "1500 ms", "60 s".
    public var description: String {
        nanoseconds % 1_000_000_000 == 0 ? "\(nanoseconds / 1_000_000_000) s" : "\(nanoseconds / 1_000_000) ms"
    }
    public static func < (left: TimeSpan, right: TimeSpan) -> Bool { left.nanoseconds < right.nanoseconds }
}
