// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Why records were given up. Each reason is counted by itself: no loss is without a name.
public enum DropReason: String, CaseIterable, Sendable, Hashable {
    /// A heartbeat of a connection that broke; a fresh one takes its place.
    case superseded
    /// The agent stopped before the server had taken them, and they could not be spooled.
    case stopped
    /// The spool was full, and what was oldest in it had to go.
    case spoolFull = "spool_full"
    /// There was no spool to write to, and memory was full.
    case memoryFull = "memory_full"
    /// Their bytes on the disk were damaged, or gone.
    case damaged
    /// The agent did not end in order: they were in its memory then, delivered or not.
    case uncertain
}

/// What became of every record, each in exactly one state:
/// `received = malformed + queued + inFlight + spooled + confirmed + Σ dropped`.
public struct Ledger: Equatable, Sendable {
    public var received: UInt64 = 0
    public var malformed: UInt64 = 0
    /// Waiting, in memory only.
    public var queued: UInt64 = 0
    /// In a message that has been started.
    public var inFlight: UInt64 = 0
    /// Waiting, on the disk.
    public var spooled: UInt64 = 0
    public var confirmed: UInt64 = 0
    public var dropped: [DropReason: UInt64] = [:]
    /// Sent again after a connection broke, or the agent was started anew; these are in one of the states above as well.
    public var resent: UInt64 = 0

    public init() {}

    public var droppedTotal: UInt64 { dropped.values.reduce(0, +) }
    /// Records that are neither delivered nor given up.
    public var waiting: UInt64 { queued + inFlight + spooled }
    /// Does every record have its state?
    public var isBalanced: Bool { received == malformed + waiting + confirmed + droppedTotal }

    mutating func drop(_ count: UInt64, _ reason: DropReason) {
        if count > 0 { dropped[reason, default: 0] += count }
    }

    public static func + (left: Ledger, right: Ledger) -> Ledger {
        var sum = left
        sum.received += right.received
        sum.malformed += right.malformed
        sum.queued += right.queued
        sum.inFlight += right.inFlight
        sum.spooled += right.spooled
        sum.confirmed += right.confirmed
        sum.resent += right.resent
        sum.dropped.merge(right.dropped, uniquingKeysWith: +)
        return sum
    }

    /// The books of an agent that takes an earlier one's over. What waited then and is not in the spool now is
    /// uncertain; what is in the spool beyond that was received after the books were written.
    ///
    /// - Parameters:
    ///   - spooled: records that the spool holds. They are not part of the result: their lanes bring them.
    public static func continuing(_ earlier: Ledger, spooled: UInt64) -> Ledger {
        var books = earlier
        books.queued = 0
        books.inFlight = 0
        books.spooled = 0
        if spooled <= earlier.waiting {
            books.drop(earlier.waiting - spooled, .uncertain)
            books.received -= min(books.received, spooled)
        } else {
            books.received -= min(books.received, earlier.waiting)
        }
        return books
    }
}
