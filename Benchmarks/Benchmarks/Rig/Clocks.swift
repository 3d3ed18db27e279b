// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// CPU time of this process in nanoseconds.
func processorTime() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

/// CLOCK_MONOTONIC in nanoseconds, as the generators stamp records.
func wallTime() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}
