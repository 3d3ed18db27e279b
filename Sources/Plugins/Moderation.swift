// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// Decides when a pipe is read again, so that a plugin that trickles does not wake the agent for every record, and
/// one that floods never waits (interrupt moderation, as network drivers do it).
///
/// ```
/// watching ──readable──▶ read ──full──▶ streaming (again in the next turn)
///     ▲                   │  ▲───────────────┘
///     │                   └──not full──▶ lingering (out of epoll, read again at the shared deadline)
///     └───────nothing came while lingering──┘
/// ```
public struct Moderation: Sendable {
    /// Below this a wait costs more than it saves, and a timer is no finer.
    static let shortestWait = TimeSpan.milliseconds(1)

    public enum Next: Equatable, Sendable {
        /// Wait for readiness.
        case watch
        /// Read again in the next turn.
        case stream
        /// Read again after this time at the latest.
        case linger(TimeSpan)
    }

    private let linger: TimeSpan
    /// Bytes at which a read counts as full: a quarter of the pipe. A full pipe may hold only half of its nominal
    /// bytes, since small writes fill its pages badly.
    private let quarter: Int
    /// Bytes a second, smoothed.
    private var rate = 0.0
    private var lastRead: MonotonicTime?

    public init(linger: TimeSpan, pipeCapacity: Int) {
        self.linger = linger
        quarter = max(1, pipeCapacity / 4)
    }

    /// `bytes` were read at `now`; the pipe was empty after it unless the read was full. `earlier` bytes were read since the
    /// last call, in turns of which it was known that others would follow.
    public mutating func didRead(_ bytes: Int, after earlier: Int = 0, at now: MonotonicTime) -> Next {
        if let lastRead {
            let elapsed = max((now - lastRead).seconds, 1e-6)
            rate = 0.5 * rate + 0.5 * Double(bytes + earlier) / elapsed
        }
        lastRead = now
        if bytes >= quarter { return .stream }
        if bytes == 0 || linger == .zero { return .watch }
        let fill = rate > 0 ? Double(quarter) / rate : .infinity
        let wait = fill < linger.seconds ? TimeSpan(nanoseconds: Int64(fill * 1e9)) : linger
        return wait < Self.shortestWait ? .stream : .linger(wait)
    }
}
