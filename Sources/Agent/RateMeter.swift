// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Reactor

/// Makes rates per second of counters that only grow.
struct RateMeter {
    typealias Counters = (bytes: UInt64, items: UInt64)

    /// Heartbeats closer together have the rates of the last interval: a connection's first comes at any time.
    static let shortestInterval = TimeSpan.seconds(1)

    private var last: (time: MonotonicTime, received: Counters, sent: Counters)?
    private var current = TrafficRates()

    /// The rates since the last call that was an interval ago; zero in the first.
    mutating func rates(received: Counters, sent: Counters, at now: MonotonicTime = .now()) -> TrafficRates {
        guard let last else {
            self.last = (now, received, sent)
            return current
        }
        let span = now - last.time
        guard span >= Self.shortestInterval else { return current }
        current.received = Self.rate(last.received.bytes, received.bytes, span)
        current.receivedItems = Self.rate(last.received.items, received.items, span)
        current.sent = Self.rate(last.sent.bytes, sent.bytes, span)
        current.sentItems = Self.rate(last.sent.items, sent.items, span)
        self.last = (now, received, sent)
        return current
    }

    /// A counter that fell began anew.
    private static func rate(_ before: UInt64, _ now: UInt64, _ span: TimeSpan) -> Double {
        Double(now >= before ? now - before : now) / span.seconds
    }
}
