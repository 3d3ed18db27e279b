// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A time by both clocks that metrics need.
public struct Moment: Sendable, Equatable {
    /// Seconds since 1970 (CLOCK_REALTIME), which may jump.
    public var wall: Double
    /// Seconds since the boot, sleep included (CLOCK_BOOTTIME), which never goes back.
    public var sinceBoot: Double

    public init(wall: Double, sinceBoot: Double) {
        self.wall = wall
        self.sinceBoot = sinceBoot
    }

    public static func now() -> Moment {
        Moment(wall: seconds(CLOCK_REALTIME), sinceBoot: seconds(CLOCK_BOOTTIME))
    }

    private static func seconds(_ clock: CInt) -> Double {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
