// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Wall-clock time.
enum Clock {
    static func secondsSince1970() -> Int { time(nil) }

    /// "15:04:05" of this host.
    static func timeOfDay() -> String {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe localtime_r(&now, &parts)
        func two(_ value: CInt) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}
