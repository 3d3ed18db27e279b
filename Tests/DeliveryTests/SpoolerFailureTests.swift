// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import Reactor
import Spool
import Testing

@Suite("Spooler with a disk that fails")
struct SpoolerFailureTests {
    private let factory = Factory()
    private let outbox = Outbox()

    private func makeSpooler() -> Spooler {
        var policy = SpoolPolicy()
        policy.disk = 8000
        return Spooler(outbox: outbox, pool: factory.pool, policy: policy)
    }

    /// Whatever fails is asked again after a pause, each kind for itself: neither the agent nor its worker spins.
    @Test(arguments: [false, true])
    func everyKindOfRequestWaitsForItsTime(isConnected: Bool) {
        let spooler = makeSpooler()
        // Lanes and the batches in them hold one another.
        defer { outbox.dropAll(.stopped) }
        var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        _ = spooler.next(at: now)
        let contents = SpoolContents(
            lane: SpoolLane(name: "a", isUrgent: false),
            first: .zero,
            end: SpoolPosition(sequence: 5, record: 5),
            bytes: 900,
            segments: 3,
            oldest: 0
        )
        spooler.completed(.opened([contents], asideBytes: 0, notes: []), at: now)
        let lane = outbox.addLane(name: "b")
        if isConnected { spooler.connected() }
        // Something is written and confirmed: there is something to sync, and a cursor to move.
        outbox.enqueueOwn(factory.batch(size: 20), on: lane, at: now)
        now = now + .seconds(2)
        if spooler.next(at: now) != nil { spooler.completed(.appended(bytes: 7000), at: now) }
        outbox.enqueueOwn(factory.batch(size: 2000), on: lane, at: now)
        var offset: UInt64 = 0
        while outbox.sendNext(at: &offset) != nil {}
        outbox.confirm(upTo: 20)
        let end = now + .seconds(60)
        var requests = 0
        while now < end {
            while spooler.next(at: now) != nil, requests < 1000 {
                requests += 1
                spooler.completed(.failed("read-only"), at: now)
            }
            now = min(spooler.due(at: now) ?? end, now + .milliseconds(50))
        }
        #expect((2...60).contains(requests), "\(requests) requests in a minute")
        #expect(spooler.problem == "read-only")
        spooler.finish()
        while spooler.next(at: now) != nil, requests < 1000 {
            requests += 1
            spooler.completed(.failed("read-only"), at: now)
        }
        #expect(spooler.isFinished && requests < 100)
    }

    /// A batch that is being made a message when the backlog becomes known is late as well.
    @Test func whatIsTakenIsLate() {
        let spooler = makeSpooler()
        // Lanes and the batches in them hold one another.
        defer { outbox.dropAll(.stopped) }
        var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        let lane = outbox.addLane(name: "a")
        outbox.enqueueOwn(factory.batch(), on: lane, at: now)
        spooler.connected()
        _ = spooler.next(at: now)
        guard let taken = outbox.next() else { return #expect(Bool(false), "there was one") }
        let contents = SpoolContents(
            lane: SpoolLane(name: "a", isUrgent: false),
            first: .zero,
            end: SpoolPosition(sequence: 5, record: 50),
            bytes: 900,
            segments: 1,
            oldest: 0
        )
        spooler.completed(.opened([contents], asideBytes: 0, notes: []), at: now)
        outbox.sent(taken, end: 100)
        now = now + .seconds(3)
        #expect(spooler.next(at: now)?.kind == .read, "it is not written behind the backlog")
        outbox.confirm(upTo: 100)
        spooler.completed(.failed("for a test"), at: now)
        #expect(spooler.next(at: now) == nil, "its confirmation says nothing of the backlog")
        #expect(outbox.ledger.text == "received 51, spooled 50, confirmed 1")
    }
}
