// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// Allows so many things in a time, and some of them at once: a token bucket.
public struct Pace: Sendable {
    private let interval: TimeSpan
    private let burst: TimeSpan
    private var next = MonotonicTime(nanoseconds: 0)

    /// - Parameters:
    ///   - interval: between two, on average.
    ///   - burst: how many may come at once after a pause.
    public init(every interval: TimeSpan, burst: Int64) {
        self.interval = interval
        self.burst = TimeSpan(nanoseconds: interval.nanoseconds * max(0, burst - 1))
    }

    /// Nil when it may be done now, which is counted; else when to ask again.
    public mutating func take(at now: MonotonicTime) -> MonotonicTime? {
        if next > now + burst {
            let wait = next - (now + burst)
            return now + wait
        }
        next = max(next, now) + interval
        return nil
    }
}
