// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import Reactor
import TestSupport
import Testing

@Suite("Confirmation")
struct ConfirmationTests {
    /// What happens on a stream.
    enum Event: Sendable {
        case accepted
        /// A message of so many bytes.
        case sent(Int)
        case credit(Int)
        /// A PING of that payload, framed behind so many bytes.
        case ping(UInt64, UInt64)
        case pong(UInt64)
        /// Our end of the stream was answered with OK.
        case end
        /// Milliseconds pass.
        case wait(Int64)
    }

    /// A stream, from its beginning.
    private struct Stream {
        static let start = MonotonicTime(nanoseconds: 1_000_000_000_000)

        var confirmation = Confirmation()
        var now = Stream.start

        mutating func apply(_ event: Event) {
            switch event {
            case .accepted: confirmation.accepted()
            case .sent(let size): confirmation.sent(size, at: now)
            case .credit(let increment): confirmation.credited(increment, at: now)
            case .ping(let payload, let barrier): confirmation.pingSent(payload, barrier: barrier, at: now)
            case .pong(let payload): confirmation.pingAcknowledged(payload, at: now)
            case .end: confirmation.endAcknowledged()
            case .wait(let milliseconds): now = now + .milliseconds(milliseconds)
            }
        }

        /// What is confirmed after each of them.
        mutating func offsets(after events: [Event]) -> [UInt64] {
            events.map { event in
                apply(event)
                return confirmation.offset
            }
        }
    }

    // MARK: Acceptance

    /// A server that refuses an id has read the first message, and answers PINGs: none of that counts alone.
    @Test(
        arguments: [
            ([], 0), ([.sent(100)], 0),
            ([.sent(100), .ping(1, 100), .pong(1), .wait(10_000), .ping(2, 100), .pong(2)], 100),
            ([.sent(100), .ping(1, 60), .pong(1), .wait(60_000), .ping(2, 100), .pong(2)], 60),
        ] as [([Event], UInt64)]
    )
    func nothingIsConfirmedBeforeAcceptance(_ events: [Event], _ after: UInt64) {
        var stream = Stream()
        let before = stream.offsets(after: events)
        #expect(before.allSatisfy { $0 == 0 } && stream.confirmation.pingDue == nil)
        stream.apply(.accepted)
        #expect(stream.confirmation.offset == after)
    }

    @Test func creditIsAcceptance() {
        var stream = Stream()
        let offsets = stream.offsets(after: [.sent(100), .sent(100), .credit(150)])
        #expect(offsets == [0, 0, 50] && stream.confirmation.unconfirmedBytes == 150)
    }

    // MARK: Credit

    /// Credit less the largest message (1 MiB of a larger one), never more than was sent, and never less than before.
    @Test(
        arguments: [
            ([.accepted, .sent(100), .credit(100)], [0, 0, 0]),
            ([.accepted, .sent(100), .credit(101)], [0, 0, 1]),
            ([.sent(100), .sent(50), .credit(150), .credit(99), .credit(1)], [0, 0, 50, 149, 150]),
            ([.sent(50), .sent(100), .credit(150)], [0, 0, 50]),
            ([.sent(100), .credit(1000), .sent(100)], [0, 100, 100]),
            ([.sent(100), .credit(0)], [0, 0]),
            ([.sent(10), .sent(10), .credit(25), .sent(1000), .credit(100), .credit(900)], [0, 0, 15, 15, 15, 25]),
            ([.sent(4 << 20), .sent(4 << 20), .credit(5 << 20), .credit(4 << 20)], [0, 0, 4 << 20, 8 << 20]),
        ] as [([Event], [UInt64])]
    )
    func creditLessTheLargestMessage(_ events: [Event], _ offsets: [UInt64]) {
        var stream = Stream()
        let confirmed = stream.offsets(after: events)
        #expect(confirmed == offsets)
    }

    /// As a server with a window of 1000 bytes gives it back, a message of 100 being read meanwhile.
    @Test func creditComesInQuarterWindows() {
        var stream = Stream()
        for _ in 0..<10 { stream.apply(.sent(100)) }
        let offsets = stream.offsets(after: [Event](repeating: .credit(250), count: 4))
        #expect(offsets == [150, 400, 650, 900] && stream.confirmation.unconfirmedBytes == 100)
        stream.apply(.credit(250))
        #expect(stream.confirmation.offset == 1000 && stream.confirmation.unconfirmedBytes == 0)
    }

    /// A handler of grpc-go, whatever the sizes of messages and windows and however slowly it reads: what is confirmed
    /// it has read, and what it has read is confirmed but for a quarter of the window and a message.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func creditIsNeverAheadOfTheHandler(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        // Beyond the margin the offset itself may lie within the message that is being read.
        let isLarge = seed % 2 == 1
        let largest = random.int(isLarge ? (1 << 20)...(9 << 20) : 5...10_000)
        var handler = Handler(limit: random.int(isLarge ? 65_535...(4 << 20) : 100...5000))
        var confirmation = Confirmation()
        confirmation.accepted()
        var ends: [UInt64] = []
        var (queued, framed, credit, before) = (0, 0, 0, UInt64(0))
        func read(_ budget: Int) {
            for increment in handler.read(budget) {
                credit += increment
                confirmation.credited(increment, at: Stream.start)
            }
        }
        func arrive(_ count: Int) {
            framed += count
            handler.arrive(count)
        }
        for step in 0..<1500 {
            let comment: Comment = "seed \(seed), step \(step)"
            let window = min(queued - framed, handler.limit + credit - framed)
            switch random.int(0...5) {
            case 0:
                let limit = random.oneIn(3) ? largest : min(largest, 500)
                let size = random.int(5...limit)
                queued += size
                ends.append(UInt64(queued))
                handler.announce(size)
                confirmation.sent(size, at: Stream.start)
            case 1, 2: arrive(random.int(0...window))
            default: read(random.int(0...handler.limit))
            }
            try #require(handler.isWithinItsWindow, comment)
            let offset = confirmation.offset
            try #require((ends.last { $0 <= offset } ?? 0) <= handler.completed, comment)
            if !isLarge { try #require(offset <= handler.completed, comment) }
            try #require(offset >= before, comment)
            before = offset
        }
        while handler.completed < UInt64(queued) {
            arrive(min(queued - framed, handler.limit + credit - framed))
            read(.max)
        }
        let tail = handler.limit / 4 + min(largest, Int(Confirmation.margin))
        #expect(confirmation.unconfirmedBytes <= UInt64(tail), "seed \(seed)")
    }

    // MARK: Two PINGs

    /// Two messages of 100 bytes were sent; what these PINGs confirm of them.
    @Test(
        arguments: [
            // The barrier is the first one's.
            ([.ping(1, 100), .wait(3000), .pong(1), .wait(10_000), .ping(2, 200), .pong(2)], 100),
            ([.ping(1, 0), .pong(1), .wait(10_000), .ping(2, 200), .pong(2)], 0),
            ([.ping(1, 100), .pong(1), .wait(10_000), .ping(2, 200), .wait(60_000), .pong(2)], 100),
            // The second one is sent long enough after the first one's answer.
            ([.ping(1, 100), .pong(1), .wait(9999), .ping(2, 200), .pong(2)], 0),
            ([.ping(1, 100), .wait(9000), .pong(1), .wait(9999), .ping(2, 200), .pong(2)], 0),
            // One that came too early does not take the first one's place.
            ([.ping(1, 100), .pong(1), .wait(9999), .ping(2, 200), .pong(2), .wait(1), .ping(3, 200), .pong(3)], 100),
            // The second one is the first of the next pair.
            (
                [.ping(1, 9), .pong(1), .wait(10_000), .ping(2, 99), .pong(2), .wait(10_000), .ping(3, 99), .pong(3)],
                99
            ),
            // One without an answer confirms nothing.
            ([.ping(1, 200)], 0), ([.ping(1, 200), .pong(1)], 0),
            ([.ping(1, 200), .pong(1), .wait(10_000), .ping(2, 200)], 0),
            ([.ping(1, 200), .wait(20_000), .ping(2, 200), .pong(2), .pong(1)], 0),
            ([.ping(1, 99), .wait(20_000), .ping(2, 200), .pong(2), .wait(10_000), .ping(3, 200), .pong(3)], 200),
            // Answers that come together when a black hole has closed.
            ([.ping(1, 100), .wait(15_000), .ping(2, 200), .wait(15_000), .pong(1), .pong(2)], 0),
            (
                [
                    .ping(1, 100), .wait(15_000), .ping(2, 200), .wait(15_000), .pong(1), .pong(2), .wait(10_000),
                    .ping(3, 200), .pong(3),
                ], 100
            ),
            // No answer counts twice, and none to what was not asked.
            ([.ping(1, 200), .pong(1), .wait(10_000), .pong(1), .pong(7)], 0),
            // PINGs of a connection that was silent count as well.
            ([.ping(900, 150), .wait(200), .pong(900), .wait(30_000), .ping(901, 200), .wait(200), .pong(901)], 150),
            // The better evidence counts.
            ([.credit(150), .ping(1, 100), .pong(1), .wait(10_000), .ping(2, 200), .pong(2)], 100),
            ([.credit(250), .ping(1, 100), .pong(1), .wait(10_000), .ping(2, 200), .pong(2)], 150),
        ] as [([Event], UInt64)]
    )
    func pairsOfPings(_ events: [Event], _ offset: UInt64) {
        var stream = Stream()
        let offsets = stream.offsets(after: [Event.accepted, .sent(100), .sent(100)] + events)
        #expect(offsets.prefix(3) == [0, 0, 0] && offsets.last == offset && offsets == offsets.sorted())
        #expect(stream.confirmation.unconfirmedBytes == 200 - offset)
    }

    /// When a PING is due, in milliseconds since the beginning.
    @Test(
        arguments: [
            // There is nothing for it to do.
            ([], nil), ([.accepted], nil), ([.sent(100)], nil), ([.accepted, .sent(100), .credit(200)], nil),
            ([.accepted, .sent(100), .end], nil),
            // When nothing has shown for a while that the server reads.
            ([.sent(100), .accepted], 2000), ([.accepted, .wait(500), .sent(100)], 2500),
            ([.accepted, .sent(100), .wait(1000), .sent(100)], 2000),
            ([.accepted, .sent(100), .wait(1500), .credit(50)], 3500),
            ([.accepted, .sent(100), .credit(200), .wait(5000), .sent(100)], 7000),
            // One is on its way.
            ([.accepted, .sent(100), .wait(2000), .ping(1, 100)], nil),
            ([.accepted, .sent(100), .wait(2000), .ping(1, 100), .wait(60_000), .sent(100), .credit(10)], nil),
            // The second one of a pair.
            ([.accepted, .sent(100), .wait(2000), .ping(1, 100), .wait(1000), .pong(1)], 13_000),
            (
                [.accepted, .sent(100), .wait(2000), .ping(1, 100), .pong(1), .wait(10_000), .ping(2, 100), .pong(2)],
                nil
            ),
            // It is the first one for what was sent meanwhile.
            (
                [
                    .accepted, .sent(100), .wait(2000), .ping(1, 100), .pong(1), .wait(1000), .sent(50), .wait(9000),
                    .ping(2, 150), .pong(2),
                ], 22_000
            ),
            // Credit has made the second one needless: what is left begins anew, but not too soon after the last one.
            (
                [
                    .accepted, .sent(100), .wait(2000), .ping(1, 100), .pong(1), .sent(100), .wait(1000), .credit(250),
                ], 12_000
            ),
            ([.accepted, .ping(1, 0), .pong(1), .wait(1000), .sent(100)], 10_000),
            ([.accepted, .ping(1, 0), .pong(1), .wait(9000), .sent(100)], 11_000),
        ] as [([Event], Int64?)]
    )
    func pingsAreDue(_ events: [Event], _ due: Int64?) {
        var stream = Stream()
        for event in events { stream.apply(event) }
        #expect(stream.confirmation.pingDue == due.map { Stream.start + .milliseconds($0) })
    }

    @Test func timesAreSettings() {
        var stream = Stream()
        stream.confirmation = Confirmation(pingSpacing: .milliseconds(500), pingDelay: .milliseconds(100))
        for event: Event in [.accepted, .sent(100)] { stream.apply(event) }
        #expect(stream.confirmation.pingDue == Stream.start + .milliseconds(100))
        for event: Event in [.wait(100), .ping(1, 100), .pong(1)] { stream.apply(event) }
        #expect(stream.confirmation.pingDue == Stream.start + .milliseconds(600))
        for event: Event in [.wait(500), .ping(2, 100), .pong(2)] { stream.apply(event) }
        #expect(stream.confirmation.offset == 100 && stream.confirmation.pingDue == nil)
    }

    // MARK: The end

    /// The handler has returned OK after our end: it has read everything, accepted before or not.
    @Test(arguments: [[.sent(100), .sent(50)], [.accepted, .sent(150)], [.sent(150), .credit(120)]] as [[Event]])
    func answeredEndConfirmsEverything(_ events: [Event]) {
        var stream = Stream()
        for event in events + [Event.end] { stream.apply(event) }
        #expect(stream.confirmation.offset == 150 && stream.confirmation.unconfirmedBytes == 0)
    }
}

/// A grpc-go server's end of a stream, with a handler that reads one message after the other.
///
/// The arithmetic is that of inFlow (internal/transport/flowcontrol.go): a prefix or a message that the window does not
/// hold is granted in advance when its reading begins, and what was read is given back by quarters of the window.
private struct Handler {
    private static let prefix = 5

    /// The window.
    let limit: Int
    /// Bytes that have arrived and are not read.
    private var pendingData = 0
    private var pendingUpdate = 0
    private var delta = 0
    /// Messages that are not read completely, with their prefixes.
    private var messages: [Int] = []
    private var isInPrefix = true
    /// Bytes that are left of the prefix, or the message, that is being read.
    private var wanted: Int?
    /// Bytes of messages that are read completely.
    private(set) var completed: UInt64 = 0

    init(limit: Int) { self.limit = limit }

    /// Has the client kept to what it was granted?
    var isWithinItsWindow: Bool { pendingData + pendingUpdate <= limit + delta }

    mutating func announce(_ size: Int) { messages.append(size) }
    mutating func arrive(_ count: Int) { pendingData += count }

    /// Reads up to `budget` bytes of a prefix or a message, and gives the increments of its WINDOW_UPDATE frames.
    mutating func read(_ budget: Int) -> [Int] {
        guard let size = messages.first else { return [] }
        var increments: [Int] = []
        let before = wanted ?? (isInPrefix ? Self.prefix : size - Self.prefix)
        if wanted == nil, before - pendingData > limit - (pendingData + pendingUpdate) {
            delta = before
            increments.append(before)
        }
        let part = min(budget, pendingData, before)
        pendingData -= part
        pendingUpdate += max(0, part - delta)
        delta = max(0, delta - part)
        if pendingUpdate >= limit / 4 {
            increments.append(pendingUpdate)
            pendingUpdate = 0
        }
        wanted = before - part
        if wanted == 0 {
            wanted = nil
            isInPrefix.toggle()
            if isInPrefix { completed += UInt64(messages.removeFirst()) }
        }
        return increments
    }
}
