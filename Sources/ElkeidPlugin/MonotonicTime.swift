// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A point in time on `CLOCK_MONOTONIC`.
struct MonotonicTime: Comparable {
    var nanoseconds: Int64

    static var now: MonotonicTime {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    /// Saturates far in the future, so that any number of milliseconds is allowed.
    func advanced(byMilliseconds milliseconds: Int) -> MonotonicTime {
        let limit = Int64.max / 4
        let product = Int64(milliseconds).multipliedReportingOverflow(by: 1_000_000)
        let delta = product.overflow ? limit : min(max(product.partialValue, 0), limit)
        return MonotonicTime(nanoseconds: nanoseconds + delta)
    }

    /// Whole milliseconds from now until this time, rounded up, 0 when it has passed, at most `CInt.max`.
    func millisecondsFromNow() -> CInt {
        let remaining = nanoseconds - MonotonicTime.now.nanoseconds
        return CInt(clamping: max(0, (remaining + 999_999) / 1_000_000))
    }

    static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
