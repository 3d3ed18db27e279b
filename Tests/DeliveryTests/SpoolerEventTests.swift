// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import Reactor
import Spool
import SpoolSupport
import TestSupport
import Testing

/// An outbox with its spooler, plugins that come and go, a connection, a disk that fails now and then, and the next
/// agent: all as a driver would have it.
private final class Life {
    private let comment: Comment
    private var random: SeededRandom
    private var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private let factory = Factory()
    private let disk = MemoryDisk()
    private var store: SpoolStore
    private var policy = SpoolPolicy()
    private var outbox = Outbox(quantum: 2000)
    private var spooler: Spooler
    private var pending: SpoolRequest?

    /// Names are those of plugins, and how often there was nothing left of them.
    private var lanes = [Lane?](repeating: nil, count: 4)
    private var generations = [0, 0, 0, 0]

    // The stream, as a test sees it.
    private var offset: UInt64 = 0
    private var inFlight: [(lane: String, number: Int, end: UInt64)] = []
    /// The last batch of each lane that was confirmed.
    private var confirmed: [String: Int] = [:]

    init(seed: UInt64) throws {
        comment = "seed \(seed)"
        random = SeededRandom(seed: seed)
        factory.pool.limit = 64 << 10
        policy.disk = random.int(20_000...200_000)
        policy.piece = 3000
        policy.ahead = 5000
        policy.replayRate = random.oneIn(2) ? .max : 20_000
        store = try SpoolStore(disk: disk, segmentSize: 4000) { 0 }
        spooler = Spooler(outbox: outbox, pool: factory.pool, policy: policy)
    }

    // Lanes and the batches in them hold one another.
    deinit { outbox.dropAll(.stopped) }

    // MARK: Events

    func event() throws {
        switch random.int(0...11) {
        case 0...3: produce()
        case 4, 5: send()
        case 6: confirm(upTo: UInt64(random.int(0...Int(offset))))
        case 7:
            if random.oneIn(3) {
                if spooler.isConnected { disconnect() } else { spooler.connected() }
            } else if random.oneIn(3), let lane = lanes.randomElement(using: &random) ?? nil {
                outbox.retire(lane)
            }
        case 8, 9:
            guard let request = pending else { break }
            answer(random.oneIn(8) ? .failed("broken") : store.perform(request))
        default:
            let longest = random.oneIn(3) ? 5000 : 300
            now = now + .milliseconds(Int64(random.int(0...longest)))
        }
        try pump()
    }

    /// What a driver does after each event.
    private func pump() throws {
        if let request = spooler.next(at: now) {
            try #require(pending == nil, comment)
            pending = request
        } else if let due = spooler.due(at: now) {
            try #require(due > now, "\(comment): it would spin")
        }
        try #require(outbox.ledger.isBalanced && outbox.lanes.allSatisfy(\.ledger.isBalanced), comment)
    }

    private func answer(_ answer: SpoolAnswer) {
        pending = nil
        spooler.completed(answer, at: now)
    }

    private func produce() {
        guard factory.pool.headroom >= factory.pool.slabSize else {
            _ = spooler.relieveMemory(at: now)
            return
        }
        let index = random.int(0...3)
        if let lane = lanes[index], !outbox.lanes.contains(where: { $0 === lane }) { generations[index] += 1 }
        let lane = outbox.addLane(
            name: "plugin \(index), \(generations[index])",
            priority: index == 0 ? .urgent : .normal
        )
        lanes[index] = lane
        let records = factory.batch(records: random.int(1...5), size: random.int(4...2000))
        outbox.enqueueOwn(records, on: lane, isCarriedOver: !random.oneIn(10), at: now)
    }

    @discardableResult
    private func send() -> Bool {
        guard spooler.isConnected, let batch = outbox.sendNext(at: &offset) else { return false }
        inFlight.append((batch.lane.name, batch.number, offset))
        return true
    }

    /// Each lane's batches are confirmed in order, and once.
    private func confirm(upTo end: UInt64) {
        outbox.confirm(upTo: end)
        while let first = inFlight.first, first.end <= end {
            inFlight.removeFirst()
            #expect(first.number > confirmed[first.lane, default: 0], comment)
            confirmed[first.lane] = first.number
        }
    }

    private func disconnect() {
        outbox.streamLost()
        spooler.disconnected()
        inFlight = []
        offset = 0
    }

    // MARK: The end

    /// The agent ends, with a disk that is well, and another takes its place: it finds all that was waiting.
    func restart() throws {
        disconnect()
        if let request = pending { answer(store.perform(request)) }
        for _ in 0..<100 where spooler.problem != nil {
            now = now + .seconds(10)
            if let request = spooler.next(at: now) { answer(store.perform(request)) }
        }
        spooler.finish()
        for _ in 0..<1000 where !spooler.isFinished {
            let request = try #require(spooler.next(at: now), comment)
            answer(store.perform(request))
        }
        #expect(spooler.isFinished, comment)
        outbox.dropAll(.stopped)
        let ledger = outbox.ledger
        store = try SpoolStore(disk: disk, segmentSize: 4000) { 0 }
        let left = store.contents.reduce(0) { $0 + $1.records }
        // What was given up while the disk was writing it can be there all the same.
        if ledger.dropped[.memoryFull] == nil { #expect(left == ledger.spooled, comment) }

        outbox = Outbox(quantum: 2000)
        spooler = Spooler(outbox: outbox, pool: factory.pool, policy: policy)
        outbox.continueBooks(.continuing(ledger, spooled: left))
        let request = try #require(spooler.next(at: now), comment)
        answer(store.perform(request))
        #expect(outbox.ledger.isBalanced && outbox.ledger.waiting == left, comment)
        #expect(outbox.ledger.dropped[.uncertain] == nil, comment)
    }

    /// With a server and a disk that are well everything is delivered, and `due` alone wakes the driver.
    func deliver() throws {
        spooler.connected()
        confirm(upTo: offset)
        for _ in 0..<10_000 {
            try pump()
            if let request = pending {
                answer(store.perform(request))
            } else if send() {
                while send() {}
                confirm(upTo: offset)
            } else if let due = spooler.due(at: now) {
                now = due
            } else {
                break
            }
        }
        let ledger = outbox.ledger
        #expect(ledger.waiting == 0 && ledger.isBalanced && outbox.isIdle && !spooler.hasBacklog, comment)
        #expect(ledger.dropped[.damaged] == nil, comment)
        // One slab may be left, which was last read into.
        #expect(factory.pool.outstanding <= 1 && store.contents.isEmpty, comment)
    }
}

@Suite("Spooler in any order of events")
struct SpoolerEventTests {
    @Test(arguments: 0..<100 as Range<UInt64>)
    func keepsItsBooksAndWakesItsDriver(seed: UInt64) throws {
        let life = try Life(seed: seed)
        for _ in 0..<500 { try life.event() }
        if seed % 2 == 0 { try life.restart() }
        try life.deliver()
    }
}
