// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import TestSupport
import Testing

@Suite("Outbox")
final class OutboxTests {
    let outbox = Outbox(quantum: 1000)
    let factory = Factory()

    // Lanes and the batches in them hold one another.
    deinit { outbox.dropAll(.stopped) }

    @Test func empty() {
        #expect(outbox.isEmpty && outbox.isIdle && outbox.next() == nil && outbox.inFlightBatches == 0)
        outbox.confirm(upTo: 1000)
        outbox.streamLost()
        outbox.dropAll(.stopped)
        #expect(outbox.ledger == Ledger() && outbox.lanes.isEmpty)
    }

    @Test func firstInFirstOut() {
        let lane = outbox.addLane(name: "a")
        for _ in 0..<200 { outbox.enqueueOwn(factory.batch(), on: lane) }
        #expect(lane.queuedBatches == 200 && !outbox.isEmpty && !outbox.isIdle)
        #expect(outbox.sendAll() == [Int](1...200))
        #expect(outbox.isEmpty && !outbox.isIdle && outbox.inFlightBatches == 200)
        #expect(lane.isEmpty)
    }

    /// Records are queued from the moment they were read, cut into a batch or not.
    @Test func statesOfARecord() throws {
        let lane = outbox.addLane(name: "a")
        outbox.received(accepted: 5, malformed: 2, on: lane)
        #expect(lane.ledger.text == "received 7, malformed 2, queued 5")
        outbox.enqueue(factory.batch(records: 3), on: lane)
        #expect(lane.ledger.text == "received 7, malformed 2, queued 5")
        let batch = try #require(outbox.next())
        #expect(lane.ledger.text == "received 7, malformed 2, queued 2, inFlight 3")
        outbox.sent(batch, end: 100)
        outbox.confirm(upTo: 99)
        #expect(lane.ledger.text == "received 7, malformed 2, queued 2, inFlight 3")
        outbox.confirm(upTo: 100)
        #expect(lane.ledger.text == "received 7, malformed 2, queued 2, confirmed 3")
        #expect(lane.ledger.isBalanced && outbox.ledger == lane.ledger)
    }

    @Test(
        arguments: [
            ([10, 20, 30], 0, 0), ([10, 20, 30], 9, 0), ([10, 20, 30], 10, 1), ([10, 20, 30], 29, 2),
            ([10, 20, 30], 30, 3), ([10, 20, 30], 1000, 3), ([10, 10, 10], 10, 3), ([0, 0, 5], 0, 2),
        ] as [([UInt64], UInt64, UInt64)]
    )
    func confirmedByOffset(_ ends: [UInt64], _ offset: UInt64, _ confirmed: UInt64) throws {
        let lane = outbox.addLane(name: "a")
        for end in ends {
            outbox.enqueueOwn(factory.batch(), on: lane)
            outbox.sent(try #require(outbox.next()), end: end)
        }
        outbox.confirm(upTo: offset)
        #expect(lane.ledger.confirmed == confirmed && lane.ledger.inFlight == 3 - confirmed)
        #expect(outbox.inFlightBatches == Int(3 - confirmed) && outbox.isIdle == (confirmed == 3))
        outbox.confirm(upTo: offset)
        #expect(lane.ledger.confirmed == confirmed, "the same evidence again changes nothing")
    }

    /// What is confirmed is freed at once: the memory budget is in slabs.
    @Test(arguments: [1, 5, 64, 100])
    func confirmedBatchesAreFreed(_ count: Int) {
        let lane = outbox.addLane(name: "a")
        for _ in 0..<(count + 3) { outbox.enqueueOwn(factory.batch(size: 10), on: lane) }
        var offset: UInt64 = 0
        for _ in 0..<count { outbox.sendNext(at: &offset) }
        #expect(factory.pool.outstanding == count + 3)
        for sent in 1...count {
            outbox.confirm(upTo: UInt64(10 * sent))
            #expect(factory.pool.outstanding == count + 3 - sent)
        }
    }

    // MARK: Sharing

    @Test func urgentLanesComeFirst() {
        let normal = outbox.addLane(name: "plugin")
        let urgent = outbox.addLane(name: "agent", priority: .urgent)
        for _ in 0..<2 { outbox.enqueueOwn(factory.batch(), on: normal) }
        for _ in 0..<2 { outbox.enqueueOwn(factory.batch(), on: urgent) }
        var offset: UInt64 = 0
        #expect(outbox.sendNext(at: &offset)?.number == 3)
        outbox.enqueueOwn(factory.batch(), on: urgent)
        #expect(outbox.sendAll() == [4, 5, 1, 2])
    }

    /// Lanes with much to send get equal bytes, whatever the size of their batches.
    @Test(arguments: [[100, 100], [50, 900], [990, 10, 300], [3000, 100], [1000, 1000, 1000, 1000], [4000, 7000]])
    func lanesShareByBytes(_ sizes: [Int]) throws {
        var bytes = [Int](repeating: 0, count: sizes.count)
        let lanes = sizes.indices.map { outbox.addLane(name: "\($0)") }
        let total = 100_000
        for (lane, size) in zip(lanes, sizes) {
            for _ in 0..<(total / size + 1) { outbox.enqueueOwn(factory.batch(size: size), on: lane) }
        }
        var offset: UInt64 = 0
        let largest = try #require(sizes.max())
        while (bytes.max() ?? 0) < total - largest {
            let batch = try #require(outbox.sendNext(at: &offset))
            let index = try #require(lanes.firstIndex { $0 === batch.lane })
            bytes[index] += batch.byteCount
            // Deficit round robin: two lanes with something to send differ by a quantum and a batch for each at most.
            let spread = (bytes.max() ?? 0) - (bytes.min() ?? 0)
            try #require(spread <= 2 * (1000 + largest), "\(bytes)")
        }
        for lane in lanes { #expect(lane.ledger.isBalanced) }
    }

    /// A lane that comes late has no claim to the time when it had nothing, and need not wait for what came before it.
    @Test func lateLaneHasItsTurn() throws {
        let busy = outbox.addLane(name: "busy")
        for _ in 0..<100 { outbox.enqueueOwn(factory.batch(size: 500), on: busy) }
        var offset: UInt64 = 0
        for _ in 0..<50 { outbox.sendNext(at: &offset) }
        let late = outbox.addLane(name: "late")
        for _ in 0..<20 { outbox.enqueueOwn(factory.batch(size: 500), on: late) }
        var order: [String] = []
        for _ in 0..<40 { order.append(try #require(outbox.sendNext(at: &offset)).lane.name) }
        #expect(order.filter { $0 == "late" }.count == 20)
        #expect(order.prefix(6).contains("late"))
        for start in 0..<37 {
            let window = Set(order[start..<(start + 4)])
            if start < 34 { #expect(window.count == 2, "neither has more than two quanta in a row: \(order)") }
        }
    }

    // MARK: Lost streams

    @Test func lostStreamIsSentAgainInOrder() throws {
        let a = outbox.addLane(name: "a")
        let b = outbox.addLane(name: "b")
        for _ in 0..<3 { outbox.enqueueOwn(factory.batch(records: 10), on: a) }  // 1 2 3
        for _ in 0..<3 { outbox.enqueueOwn(factory.batch(records: 10), on: b) }  // 4 5 6
        var offset: UInt64 = 0
        for _ in 0..<4 { outbox.sendNext(at: &offset) }
        outbox.confirm(upTo: 100)
        _ = try #require(outbox.next())
        let before = outbox.ledger
        #expect(before.confirmed == 10 && before.inFlight == 40 && before.queued == 10 && before.isBalanced)
        outbox.streamLost()
        #expect(outbox.ledger.text == "received 60, queued 50, confirmed 10")
        #expect(outbox.inFlightBatches == 0 && !outbox.isEmpty)

        for _ in 0..<2 { outbox.enqueueOwn(factory.batch(records: 10), on: a) }  // 7 8
        let order = outbox.sendAll()
        #expect(order.filter { [1, 2, 3, 7, 8].contains($0) } == [2, 3, 7, 8], "fresh data joins the tail")
        #expect(order.filter { [4, 5, 6].contains($0) } == [4, 5, 6])
        #expect(
            outbox.ledger.text == "received 80, inFlight 70, confirmed 10, resent 30",
            "three were on the lost stream"
        )
        outbox.confirm(upTo: .max)
        #expect(outbox.ledger.text == "received 80, confirmed 80, resent 30" && outbox.isIdle)
    }

    /// What was taken and never became part of a stream is not a repetition, however often that happens.
    @Test func unsentBatchesAreNotResent() throws {
        let lane = outbox.addLane(name: "a")
        outbox.enqueueOwn(factory.batch(records: 7), on: lane)
        for _ in 0..<3 {
            _ = try #require(outbox.next())
            outbox.streamLost()
        }
        #expect(lane.ledger.text == "received 7, queued 7")
        var offset: UInt64 = 0
        outbox.sendNext(at: &offset)
        #expect(lane.ledger.resent == 0)
        for times in 1...3 {
            outbox.streamLost()
            _ = try #require(outbox.next())
            outbox.streamLost()
            offset = 0
            outbox.sendNext(at: &offset)
            #expect(lane.ledger.resent == UInt64(7 * times), "counted when it is sent, not when it is taken")
        }
        outbox.confirm(upTo: offset)
        #expect(lane.ledger.text == "received 7, confirmed 7, resent 21")
    }

    /// Offsets belong to a stream: the next one begins at 0.
    @Test func offsetsBeginAnew() throws {
        let lane = outbox.addLane(name: "a")
        outbox.enqueueOwn(factory.batch(), on: lane)
        outbox.sent(try #require(outbox.next()), end: 1_000_000)
        outbox.streamLost()
        outbox.sent(try #require(outbox.next()), end: 5)
        outbox.confirm(upTo: 4)
        #expect(lane.ledger.confirmed == 0)
        outbox.confirm(upTo: 5)
        #expect(lane.ledger.confirmed == 1)
    }

    /// Heartbeats of a connection that broke are superseded by fresh ones: queued, taken and in flight.
    @Test func heartbeatsAreNotCarriedOver() throws {
        let agent = outbox.addLane(name: "agent", priority: .urgent)
        let plugin = outbox.addLane(name: "plugin")
        outbox.enqueueOwn(factory.batch(records: 2), on: agent, isCarriedOver: false)  // 1
        outbox.enqueueOwn(factory.batch(records: 3), on: agent)  // 2
        outbox.enqueueOwn(factory.batch(records: 4), on: agent, isCarriedOver: false)  // 3
        outbox.enqueueOwn(factory.batch(records: 5), on: agent, isCarriedOver: false)  // 4
        outbox.enqueueOwn(factory.batch(records: 6), on: plugin)  // 5
        var offset: UInt64 = 0
        #expect(outbox.sendNext(at: &offset)?.number == 1)
        #expect(outbox.sendNext(at: &offset)?.number == 2)
        _ = try #require(outbox.next())
        outbox.streamLost()
        #expect(agent.ledger.text == "received 14, queued 3, superseded 11")
        #expect(plugin.ledger.text == "received 6, queued 6")
        #expect(outbox.ledger.droppedTotal == 11 && outbox.ledger.isBalanced)
        #expect(outbox.sendAll() == [2, 5])
    }

    /// The message that must be the first of its stream goes past the queue.
    @Test func firstMessageOfAStream() throws {
        let agent = outbox.addLane(name: "agent", priority: .urgent)
        outbox.enqueueOwn(factory.batch(records: 3), on: agent)
        let first = outbox.begin(factory.batch(records: 1), on: agent)
        #expect(first.number == 2 && !first.isCarriedOver)
        #expect(agent.ledger.text == "received 4, queued 3, inFlight 1")
        outbox.sent(first, end: 50)
        let next = try #require(outbox.next())
        #expect(next.number == 1)
        outbox.sent(next, end: 100)
        outbox.streamLost()
        #expect(agent.ledger.text == "received 4, queued 3, superseded 1")
        outbox.sent(outbox.begin(factory.batch(records: 1), on: agent), end: 7)
        outbox.confirm(upTo: 7)
        #expect(agent.ledger.text == "received 5, queued 3, confirmed 1, superseded 1")
    }

    // MARK: Lanes that end

    /// A lane stays until its last record has its state, and its numbers for ever.
    @Test func retiredLaneStaysUntilItsLastRecord() throws {
        let lane = outbox.addLane(name: "a")
        let other = outbox.addLane(name: "b")
        outbox.enqueueOwn(factory.batch(records: 2), on: lane)
        outbox.enqueueOwn(factory.batch(records: 3), on: lane)
        outbox.retire(lane)
        #expect(outbox.lanes.count == 2)
        var offset: UInt64 = 0
        outbox.sendNext(at: &offset)
        outbox.streamLost()
        #expect(outbox.lanes.count == 2)
        #expect(outbox.sendAll() == [1, 2])
        outbox.confirm(upTo: 100)
        #expect(outbox.lanes.count == 2)
        outbox.confirm(upTo: 200)
        #expect(outbox.lanes.map(\.name) == ["b"])
        #expect(outbox.ledger.text == "received 5, confirmed 5, resent 2")
        outbox.enqueueOwn(factory.batch(records: 10), on: other)
        #expect(outbox.ledger.text == "received 15, queued 10, confirmed 5, resent 2")
        outbox.retire(outbox.addLane(name: "unused"))
        #expect(outbox.lanes.count == 1)
    }

    @Test func everythingIsGivenUpAndCounted() throws {
        let lane = outbox.addLane(name: "a")
        let agent = outbox.addLane(name: "agent", priority: .urgent)
        outbox.received(accepted: 1, malformed: 1, on: lane)  // read, not cut yet
        for _ in 0..<4 { outbox.enqueueOwn(factory.batch(records: 10), on: lane) }
        outbox.enqueueOwn(factory.batch(records: 2), on: agent, isCarriedOver: false)
        var offset: UInt64 = 0
        for _ in 0..<3 { outbox.sendNext(at: &offset) }
        outbox.confirm(upTo: 200)
        outbox.dropAll(.stopped)
        #expect(lane.ledger.text == "received 42, malformed 1, confirmed 10, stopped 31")
        #expect(agent.ledger.text == "received 2, confirmed 2")
        #expect(outbox.isEmpty && outbox.isIdle && outbox.ledger.isBalanced)
        #expect(factory.pool.outstanding == 0)
    }

    @Test func ledgersAdd() {
        let lane = outbox.addLane(name: "a")
        outbox.received(accepted: 3, malformed: 4, on: lane)
        let sum = lane.ledger + lane.ledger + Ledger()
        #expect(sum.received == 14 && sum.malformed == 8 && sum.queued == 6 && sum.isBalanced)
    }
}
