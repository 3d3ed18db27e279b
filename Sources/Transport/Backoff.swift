// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// Full-jitter exponential backoff: each delay is uniform between zero and a ceiling that doubles up to a maximum, so
/// that a fleet whose server restarted does not come back all at once (Brooker, "Exponential Backoff and Jitter").
public struct Backoff: Sendable {
    public let minimum: TimeSpan
    public let maximum: TimeSpan
    private var ceiling: TimeSpan

    /// - Parameters:
    ///   - minimum: the first ceiling.
    ///   - maximum: where the ceiling stops growing.
    public init(minimum: TimeSpan, maximum: TimeSpan) {
        self.minimum = minimum
        self.maximum = max(minimum, maximum)
        ceiling = minimum
    }

    /// The next delay.
    public mutating func next(using random: inout some RandomNumberGenerator) -> TimeSpan {
        let delay = TimeSpan(nanoseconds: Int64.random(in: 0...max(0, ceiling.nanoseconds), using: &random))
        let (doubled, overflow) = ceiling.nanoseconds.multipliedReportingOverflow(by: 2)
        ceiling = overflow ? maximum : min(maximum, TimeSpan(nanoseconds: doubled))
        return delay
    }

    /// It worked: the next failure starts from the beginning.
    public mutating func reset() { ceiling = minimum }
}
