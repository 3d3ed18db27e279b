// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// How much of a stream its server's handler has read, by the evidence that HTTP/2 gives. The protocol itself has no
/// acknowledgements.
///
/// - *Credit* is the sum of the stream's WINDOW_UPDATE increments. A grpc-go server returns it as the handler reads, and
///   may run ahead by the message that is being read: so a message is confirmed when credit reaches its end and the
///   largest message more, or `margin` if that is less. The connection's window, and windows grown by SETTINGS, say
///   nothing.
/// - *Two PINGs*, for the end that credit does not reach (it comes in steps of a quarter of the window): the first one's
///   acknowledgement says that the server has what was framed before it; the second one, sent at least
///   `pingSpacing` after that and acknowledged with the stream still open, that the handler had time to read it.
/// - *Our end of stream answered with OK.*
///
/// Nothing is confirmed before the call was accepted: a server that refuses an id has read the first message.
/// `docs/delivery.md` says what follows from this, and what does not.
public struct Confirmation: Sendable {
    /// Between the first PING's answer and the second PING: what a loaded handler may take for what lies before it.
    /// Servers of gRPC count PINGs more often than every 5 s as an attack.
    public static let pingSpacing = TimeSpan.seconds(10)
    /// Silence of credit before the first PING.
    public static let pingDelay = TimeSpan.seconds(2)

    /// What credit has to exceed a message's end by at most. A grpc-go server grants a message that does not fit its window
    /// when it begins to read it, never more (inFlow.maybeAdjust): credit beyond a message's end is enough. The largest
    /// message more is for servers that are less exact; but two records of 8 MiB would wait for each other.
    public static let margin: UInt64 = 1 << 20

    private struct Ping {
        let payload: UInt64
        /// Bytes of the stream that were framed when it was.
        let barrier: UInt64
        let sentAt: MonotonicTime
    }

    private let spacing: TimeSpan
    private let delay: TimeSpan
    private var isAccepted = false
    private var credit: UInt64 = 0
    private var largest: UInt64 = 0
    /// Where the last message ends.
    private var end: UInt64 = 0
    private var byCredit: UInt64 = 0
    private var byPing: UInt64 = 0
    /// PINGs without an answer, in order.
    private var unanswered: [Ping] = []
    /// The first PING of a pair, and when it was answered.
    private var first: (barrier: UInt64, answeredAt: MonotonicTime)?
    private var lastPing: MonotonicTime?
    /// When credit last came, or a message was sent with none before it.
    private var quietSince: MonotonicTime?

    public init(pingSpacing: TimeSpan = Self.pingSpacing, pingDelay: TimeSpan = Self.pingDelay) {
        spacing = pingSpacing
        delay = pingDelay
    }

    /// Messages that end at or before this offset of the stream are confirmed.
    public var offset: UInt64 { isAccepted ? max(byCredit, byPing) : 0 }
    /// Bytes of messages that are not.
    public var unconfirmedBytes: UInt64 { end - min(end, offset) }

    // MARK: Events

    /// The server has sent a message. Credit shows the same.
    public mutating func accepted() { isAccepted = true }

    /// A message was queued on the stream, `size` bytes with its prefix.
    public mutating func sent(_ size: Int, at now: MonotonicTime) {
        if unconfirmedBytes == 0 || quietSince == nil { quietSince = now }
        largest = max(largest, UInt64(size))
        end += UInt64(size)
    }

    /// WINDOW_UPDATE on the stream.
    public mutating func credited(_ increment: Int, at now: MonotonicTime) {
        isAccepted = true
        credit += UInt64(max(0, increment))
        quietSince = now
        // What is confirmed stays so when a larger message follows.
        let needed = min(largest, Self.margin)
        if credit > needed { byCredit = max(byCredit, min(end, credit - needed)) }
    }

    /// A PING was framed behind `barrier` bytes of the stream. Any PING counts, whatever it was sent for.
    public mutating func pingSent(_ payload: UInt64, barrier: UInt64, at now: MonotonicTime) {
        unanswered.append(Ping(payload: payload, barrier: barrier, sentAt: now))
        lastPing = now
    }

    /// The stream is open, and a PING was acknowledged.
    public mutating func pingAcknowledged(_ payload: UInt64, at now: MonotonicTime) {
        guard let index = unanswered.firstIndex(where: { $0.payload == payload }) else { return }
        let ping = unanswered[index]
        unanswered.removeSubrange(...index)
        if let earlier = first, earlier.barrier > offset {
            guard ping.sentAt >= earlier.answeredAt + spacing else { return }
            byPing = max(byPing, earlier.barrier)
        }
        first = (ping.barrier, now)
    }

    /// The server has answered our end of the stream with OK.
    public mutating func endAcknowledged() {
        isAccepted = true
        byPing = max(byPing, end)
    }

    // MARK: PINGs to send

    /// When a PING should be sent to confirm what credit does not; nil when there is nothing for it to do.
    public var pingDue: MonotonicTime? {
        guard isAccepted, unconfirmedBytes > 0, unanswered.isEmpty, let quietSince else { return nil }
        var due = quietSince + delay
        if let first, first.barrier > offset { due = first.answeredAt + spacing }
        if let lastPing { due = max(due, lastPing + spacing) }
        return due
    }
}
