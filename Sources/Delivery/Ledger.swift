// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Why records were given up. Each reason is counted by itself: no loss is without a name.
public enum DropReason: String, CaseIterable, Sendable, Hashable {
    /// A heartbeat of a connection that broke; a fresh one takes its place.
    case superseded
    /// The agent stopped before the server had taken them.
    case stopped
}

/// What became of every record, each in exactly one state:
/// `received = malformed + queued + inFlight + confirmed + Σ dropped`.
public struct Ledger: Equatable, Sendable {
    public internal(set) var received: UInt64 = 0
    public internal(set) var malformed: UInt64 = 0
    /// In memory, not part of a message yet.
    public internal(set) var queued: UInt64 = 0
    /// In a message that has been started.
    public internal(set) var inFlight: UInt64 = 0
    public internal(set) var confirmed: UInt64 = 0
    public internal(set) var dropped: [DropReason: UInt64] = [:]
    /// Sent again after a connection broke; these are in one of the states above as well.
    public internal(set) var resent: UInt64 = 0

    public init() {}

    public var droppedTotal: UInt64 { dropped.values.reduce(0, +) }
    /// Does every record have its state?
    public var isBalanced: Bool { received == malformed + queued + inFlight + confirmed + droppedTotal }

    public static func + (left: Ledger, right: Ledger) -> Ledger {
        var sum = left
        sum.received += right.received
        sum.malformed += right.malformed
        sum.queued += right.queued
        sum.inFlight += right.inFlight
        sum.confirmed += right.confirmed
        sum.resent += right.resent
        sum.dropped.merge(right.dropped, uniquingKeysWith: +)
        return sum
    }
}
