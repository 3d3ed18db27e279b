// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// Finds out whether a silent peer is still there: a PING after a silence, and death if nothing at all comes back.
///
/// It is asked when its time has come, not at every byte; whatever was received counts as a sign of life (as with
/// gRPC's keepalive, gRFC A8).
public struct Keepalive: Sendable {
    public enum Action: Equatable, Sendable {
        /// Ask again then.
        case wait(until: MonotonicTime)
        /// Send a PING, and ask again then.
        case ping(answerBy: MonotonicTime)
        /// The peer, or the way to it, is gone.
        case dead(silentFor: TimeSpan)
    }

    /// Silence before a PING.
    let interval: TimeSpan
    /// For the answer.
    let timeout: TimeSpan
    private var pinged: MonotonicTime?

    public init(interval: TimeSpan, timeout: TimeSpan) {
        self.interval = interval
        self.timeout = timeout
    }

    /// - Parameter lastHeard: when bytes last came from the peer.
    public mutating func due(at now: MonotonicTime, lastHeard: MonotonicTime) -> Action {
        if let pinged, lastHeard < pinged {
            return now - pinged >= timeout ? .dead(silentFor: now - lastHeard) : .wait(until: pinged + timeout)
        }
        pinged = nil
        guard now - lastHeard >= interval else { return .wait(until: lastHeard + interval) }
        pinged = now
        return .ping(answerBy: now + timeout)
    }
}
