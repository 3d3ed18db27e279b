// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import Spool
import Testing

// What memory and the disk hold when there is too little of them, and what comes back.
extension SpoolerTests {
    // MARK: Memory

    /// Beyond half of the memory, eight slabs of one batch each, everything is written, however young.
    @Test(
        arguments: [
            (4, false, nil), (5, false, "append a: 0=1 1=2 2=3 3=4 4=5"), (5, true, nil), (8, true, nil),
        ] as [(Int, Bool, String?)]
    )
    func memoryIsNeededWithoutAConnection(batches: Int, isConnected: Bool, request: String?) {
        factory.pool.limit = 64 << 10
        open()
        if isConnected { spooler.connected() }
        add(batches, to: outbox.addLane(name: "a"))
        #expect(ask(0) == request)
    }

    /// Memory is a cache of the disk: written, freed, read back in order, with what came meanwhile behind it.
    @Test func writtenBatchesGiveTheirMemoryBack() throws {
        factory.pool.limit = 64 << 10
        spooler.policy.piece = 8 << 10
        spooler.policy.replayRate = .max
        #expect(try act(0) == "open")
        let lane = outbox.addLane(name: "a")
        add(5, to: lane)
        #expect(try act(0) == "append a: 0=1 1=2 2=3 3=4 4=5")
        #expect(factory.pool.outstanding == 0 && outbox.isIdle && outbox.isEmpty && lane.hasBacklog)
        #expect(lane.ledger.text == "received 5, spooled 5")
        add(5, to: lane)
        #expect(outbox.next() == nil, "they wait behind the backlog")
        #expect(try act(0) == "append a: 5=6 6=7 7=8 8=9 9=10")
        #expect(factory.pool.outstanding == 0 && lane.ledger.text == "received 10, spooled 10")
        #expect(try act(0) == "sync")
        add(to: lane)
        spooler.connected()
        #expect(try act(0) == "read a from 0")
        #expect(sendAll() == [Int](1...11) && !spooler.hasBacklog)
        #expect(lane.ledger.text == "received 11, inFlight 11", "none is sent a second time")
        outbox.confirm(upTo: .max)
        #expect(outbox.isIdle && factory.pool.outstanding <= 1)
    }

    /// A lane with a backlog goes on through the disk, so that it does not hold the others back.
    @Test func aBacklogFreesWhatIsBehindIt() throws {
        factory.pool.limit = 64 << 10
        spooler.policy.piece = 300
        spooler.policy.ahead = 300
        spooler.policy.replayRate = .max
        let lane = outbox.addLane(name: "a")
        for _ in 0..<20 {
            add(to: lane)
            while try act(0) != nil {}
        }
        spooler.connected()
        add(factory.pool.headroom / factory.pool.slabSize, to: lane)
        while try act(0) != nil {}
        #expect(lane.hasBacklog && factory.pool.outstandingBytes <= factory.pool.limit / 2)
        var sent: [Int] = []
        for round in 0..<100 as Range<UInt64> {
            while try act(500 * round) != nil {}
            sent += sendAll()
            outbox.confirm(upTo: .max)
        }
        #expect(sent == [Int](1...factory.made) && lane.ledger.confirmed == UInt64(factory.made))
    }

    /// A server that is slow but there: plugins are held back, nothing goes through the disk.
    @Test func aSlowConnectionFreesNothing() {
        factory.pool.limit = 64 << 10
        open()
        spooler.connected()
        add(8, to: outbox.addLane(name: "a"))
        #expect(ask(1499) == nil)
        #expect(step(1500, .appended(bytes: 3000)) == "append a: 0=1 1=2 2=3 3=4 4=5 5=6 6=7 7=8")
        #expect(step(1500, .synced) == "sync")
        #expect(factory.pool.outstanding == 8 && !spooler.hasBacklog)
    }

    /// When that connection breaks everything is on the disk, and memory is full: there is nothing to write.
    @Test func aSlowConnectionThatBreaksFreesMemory() {
        factory.pool.limit = 64 << 10
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(8, to: lane)
        #expect(step(1500, .appended(bytes: 3000)) != nil && step(1500, .synced) == "sync")
        disconnect()
        #expect(ask(2000) == nil)
        _ = spooler.relieveMemory(at: at(2000))
        #expect(factory.pool.headroom >= 2 * 8192)
        #expect(lane.ledger.text == "received 8, spooled 8", "nothing is given up for it")
    }

    // MARK: Memory without a disk

    enum DiskState: CaseIterable, Sendable { case absent, working, failed, hanging, tooSmall }

    @Test(arguments: DiskState.allCases, [false, true])
    func memoryIsGivenUpOnlyWithoutADisk(disk: DiskState, isConnected: Bool) {
        factory.pool.limit = 64 << 10
        spooler.policy.piece = 100
        if disk == .absent { spooler.policy.disk = 0 }
        if disk == .tooSmall { spooler.policy.disk = 1000 }
        open()
        if isConnected { spooler.connected() }
        let lane = outbox.addLane(name: "a")
        add(8, to: lane)
        switch disk {
        case .absent, .working: break
        case .failed: #expect(step(2000, .failed("broken")) == "append a: 0=1")
        case .hanging: #expect(ask(2000) == "append a: 0=1")
        case .tooSmall: #expect(ask(2000) == nil)
        }
        #expect(!spooler.relieveMemory(at: at(2000)) || disk != .working && disk != .hanging && !isConnected)
        // A driver asks it first what there is to do.
        _ = ask(12_000)
        let isGivenUp = disk != .working && !isConnected
        _ = spooler.relieveMemory(at: at(12_000))
        #expect((lane.ledger.dropped[.memoryFull, default: 0] > 0) == isGivenUp && lane.ledger.isBalanced)
        if isGivenUp { #expect(factory.pool.headroom >= 2 * 8192) }
    }

    @Test func theOldestOfTheLargestLaneIsGivenUp() {
        factory.pool.limit = 64 << 10
        spooler.policy.disk = 0
        let urgent = outbox.addLane(name: "agent", priority: .urgent)
        let (a, b) = (outbox.addLane(name: "a"), outbox.addLane(name: "b"))
        add(4, to: urgent)
        add(1, to: a)
        add(3, to: b)
        #expect(spooler.relieveMemory(at: at(0)))
        #expect(b.ledger.text == "received 3, queued 1, memoryFull 2" && factory.pool.headroom == 2 * 8192)
        #expect(spooler.relieveMemory(at: at(0)), "there is room")
        #expect(b.ledger.text == "received 3, queued 1, memoryFull 2")
        add(2, to: urgent)
        #expect(spooler.relieveMemory(at: at(0)))
        #expect(outbox.ledger.text == "received 10, queued 6, memoryFull 4" && urgent.ledger.queued == 6)
        #expect(sendAll() == [1, 2, 3, 4, 9, 10])
    }

    @Test func whenFullMayMeanToBlock() {
        factory.pool.limit = 64 << 10
        spooler.policy.disk = 0
        spooler.policy.dropsOldest = false
        add(8, to: outbox.addLane(name: "a"))
        #expect(!spooler.relieveMemory(at: at(60_000)) && factory.pool.headroom == 0)
    }

    /// The disk was full while there was a connection; without one, it is about to have room.
    @Test func roomThatIsBeingMadeIsWaitedFor() {
        factory.pool.limit = 64 << 10
        spooler.policy.disk = 10_000
        open()
        spooler.connected()
        let (a, b) = (outbox.addLane(name: "a"), outbox.addLane(name: "b"))
        add(to: a)
        #expect(step(1500, .appended(bytes: 9500)) == "append a: 0=1" && step(1500, .synced) == "sync")
        add(7, to: b, at: 2000)
        #expect(ask(3500) == nil, "there is no room")
        disconnect()
        #expect(ask(3500) == "drop oldest of a")
        #expect(!spooler.relieveMemory(at: at(3500)) && b.ledger.text == "received 7, queued 7")
    }

    /// What is on the disk must not stand in the way of what is not, when the disk has failed meanwhile.
    @Test func memoryIsFreedBehindWhatIsOnTheDisk() {
        factory.pool.limit = 64 << 10
        open()
        let lane = outbox.addLane(name: "a")
        add(to: lane)
        #expect(step(1500, .appended(bytes: 900)) == "append a: 0=1" && step(1500, .synced) == "sync")
        add(7, to: lane, at: 2000)
        #expect(step(2000, .failed("broken")) == "append a: 1=2 2=3 3=4 4=5 5=6 6=7 7=8")
        #expect(spooler.relieveMemory(at: at(2000)))
        #expect(factory.pool.headroom >= 2 * 8192 && lane.ledger.isBalanced)
    }

    // MARK: Reading

    /// Five batches of ten records: what is missing between those that were read, or before where reading goes on, is
    /// damaged.
    @Test(
        arguments: [
            ([([0, 1, 2, 3, 4], 5)], 0), ([([0, 1], 2), ([2, 3], 4), ([4], 5)], 0),
            ([([1, 2, 3, 4], 5)], 10), ([([0, 1, 2, 3], 5)], 10), ([([0, 2, 4], 5)], 20), ([([], 5)], 50),
            ([([0, 1], 3), ([3, 4], 5)], 10), ([([0, 1], 2), ([4], 5)], 20),
            // Nothing is left there.
            ([([], 0)], 50), ([([0, 1], 2), ([], 2)], 30),
            // What was not asked for is no batch.
            ([([0, 0, 1, 2, 3, 4], 5)], 0), ([([0, 1, 2, 3, 4, 5, 6], 7)], 0), ([([0, 1], 2), ([1, 2, 3, 4], 5)], 0),
        ] as [([([UInt64], UInt64)], UInt64)]
    )
    func whatWasLeftIsReplayedInOrder(_ pieces: [([UInt64], UInt64)], _ damaged: UInt64) throws {
        spooler.policy.replayRate = .max
        open([contents("a")])
        #expect(outbox.ledger.text == "received 50, spooled 50" && spooler.hasBacklog && spooler.bytes == 5000)
        #expect(ask(0) == nil && due(0) == nil, "there is no connection")
        spooler.connected()
        var from: UInt64 = 0
        for (places, next) in pieces {
            let answer = try piece(places, next: next)
            #expect(step(0, answer) == "read a from \(from)")
            from = next
        }
        #expect(!spooler.hasBacklog && outbox.ledger.dropped[.damaged, default: 0] == damaged)
        let expected = Set(pieces.flatMap { $0.0 }).filter { $0 < 5 }.sorted().map { Int($0) + 100 }
        #expect(sendAll() == expected)
        outbox.confirm(upTo: .max)
        let ledger = outbox.ledger
        #expect(ledger.confirmed == 50 - damaged && ledger.resent == 50 - damaged && ledger.isBalanced)
        #expect(step(0, .advanced(bytes: 0)) == "advance a to 5, final")
        #expect(outbox.lanes.isEmpty && spooler.bytes == 0 && outbox.ledger == ledger && outbox.isIdle)
    }

    /// The plugin is there again: its new records follow.
    @Test func newRecordsFollowTheBacklog() throws {
        spooler.policy.replayRate = .max
        open([contents("a")])
        let lane = outbox.addLane(name: "a")
        #expect(outbox.lanes.count == 1 && lane.ledger.text == "received 50, spooled 50")
        add(to: lane)
        #expect(outbox.isEmpty && outbox.next() == nil && !outbox.isIdle)
        spooler.connected()
        let (first, second) = (try piece([0, 1], next: 2), try piece([2, 3, 4], next: 5))
        #expect(step(0, first) == "read a from 0" && sendAll() == [100, 101])
        outbox.confirm(upTo: .max)
        #expect(step(0, .advanced(bytes: 5000)) == "advance a to 2")
        #expect(step(0, second) == "read a from 2" && sendAll() == [102, 103, 104, 1])
        #expect(lane.ledger.text == "received 51, inFlight 31, confirmed 20, resent 50")
        outbox.confirm(upTo: .max)
        #expect(ask(0) == nil && due(0) == 500)
        #expect(step(500, .advanced(bytes: 5000)) == "advance a to 5")
        #expect(ask(500) == nil && due(500) == nil && outbox.lanes.count == 1)
    }

    /// The disk took its time to open: what came meanwhile and waits is behind what an earlier agent left.
    @Test func aBacklogThatIsFoundLateComesFirst() throws {
        spooler.policy.replayRate = .max
        let lane = outbox.addLane(name: "a")
        add(to: lane)
        open([contents("a")])
        add(to: lane)
        spooler.connected()
        let all = try piece([0, 1, 2, 3, 4], next: 5)
        #expect(step(0, all) == "read a from 0")
        #expect(sendAll() == [100, 101, 102, 103, 104, 1, 2])
    }

    /// What was sent before the backlog was known is not written behind it; that it is confirmed says nothing of that.
    @Test func aBacklogThatIsFoundLateIsNotConfirmedByWhatWasSentBefore() throws {
        spooler.policy.replayRate = .max
        spooler.connected()
        add(to: outbox.addLane(name: "a"))
        #expect(sendAll() == [1])
        open([contents("a")])
        let all = try piece([0, 1, 2, 3, 4], next: 5)
        #expect(step(0, all) == "read a from 0")
        #expect(ask(1500) == nil)
        outbox.confirm(upTo: 100)
        #expect(ask(2000) == nil)
        #expect(outbox.ledger.text == "received 51, spooled 50, confirmed 1")
    }

    /// A fleet that comes back must not flood its servers.
    @Test func readingIsLimitedByTime() throws {
        spooler.policy.replayRate = 8
        open([contents("a")])
        spooler.connected()
        let (first, second) = (try piece([0, 1], next: 2), try piece([2], next: 3))
        #expect(step(0, first) == "read a from 0")
        #expect(ask(0) == nil && due(0) == 1000 && ask(999) == nil)
        #expect(step(1000, second) == "read a from 2" && due(1000) == 1500)
        #expect(ask(1499) == nil && ask(1500) == "read a from 3")
    }

    /// No more is read than the connection takes.
    @Test func readingIsLimitedByWhatIsAhead() throws {
        spooler.policy.replayRate = .max
        spooler.policy.ahead = 8
        open([contents("a")])
        spooler.connected()
        let (first, second) = (try piece([0, 1], next: 2), try piece([2], next: 3))
        #expect(step(0, first) == "read a from 0")
        #expect(ask(0) == nil && due(0) == nil)
        #expect(outbox.sendNext(at: &offset)?.number == 100)
        #expect(step(0, second) == "read a from 2")
        #expect(ask(0) == nil && due(0) == nil)
    }

    @Test func lanesAreReadInTurn() throws {
        spooler.policy.replayRate = .max
        open([contents("a"), contents("b")])
        spooler.connected()
        var requests: [String?] = []
        for next in [1, 1, 2, 2, 3] as [UInt64] {
            let answer = try piece([next - 1], next: next)
            requests.append(step(0, answer))
        }
        #expect(requests == ["read a from 0", "read b from 0", "read a from 1", "read b from 1", "read a from 2"])
    }

    /// An agent that stops sends what it has in memory, and reads no more.
    @Test func anAgentThatStopsReadsNoMore() {
        open([contents("a")])
        spooler.connected()
        spooler.stopReplaying()
        #expect(ask(0) == nil && due(0) == nil && spooler.isFinished)
    }

    // MARK: A full disk

    /// Room for a new lane: the oldest segment of the largest lane goes, urgent ones last.
    @Test(
        arguments: [
            ([("a", false, 3000), ("b", false, 7000)], "b"), ([("a", false, 7000), ("b", false, 3000)], "a"),
            ([("a", false, 3000), ("fd 5", true, 7000)], "a"), ([("agent", true, 3000), ("fd 5", true, 7000)], "fd 5"),
        ] as [([(String, Bool, Int)], String)]
    )
    func theOldestOfTheLargestLaneGoes(lanes: [(String, Bool, Int)], victim: String) {
        spooler.policy.disk = 10_000
        open(lanes.map { contents($0.0, isUrgent: $0.1, bytes: $0.2) })
        add(to: outbox.addLane(name: "new"))
        #expect(step(1500, .dropped(first: position(5), bytes: 0)) == "drop oldest of \(victim)")
        #expect(outbox.ledger.text == "received 101, queued 1, spooled 50, spoolFull 50")
        #expect(outbox.lanes.count == 2, "its plugin is not there, and neither is anything of it")
        #expect(ask(1500) == "append new: 0=1")
    }

    /// A segment is given up: the records that were only there are lost, and counted.
    @Test func whatWasOnlyOnTheDiskIsLostWithIt() {
        factory.pool.limit = 64 << 10
        spooler.policy.disk = 10_000
        open()
        let (a, b) = (outbox.addLane(name: "a"), outbox.addLane(name: "b"))
        add(5, to: a)
        #expect(step(0, .appended(bytes: 9000)) == "append a: 0=1 1=2 2=3 3=4 4=5" && step(0, .synced) == "sync")
        add(to: b)
        let dropped = SpoolAnswer.dropped(first: SpoolPosition(sequence: 3, record: 3), bytes: 4000)
        #expect(step(1500, dropped) == "drop oldest of a")
        #expect(a.ledger.text == "received 5, spooled 2, spoolFull 3")
        #expect(step(1500, .appended(bytes: 900)) == "append b: 0=6" && spooler.bytes == 4900)
        spooler.connected()
        #expect(ask(1500) == "read a from 3")
    }

    /// Memory is a cache of it: what the disk gives up memory does not keep.
    @Test func whatIsGivenUpIsGivenUpInMemory() {
        spooler.policy.disk = 10_000
        open()
        let (a, b) = (outbox.addLane(name: "a"), outbox.addLane(name: "b"))
        add(2, to: a)
        add(to: b, at: 500)
        #expect(step(1500, .appended(bytes: 9000)) == "append a: 0=1 1=2" && step(1500, .synced) == "sync")
        #expect(a.ledger.text == "received 2, spooled 2")
        let dropped = SpoolAnswer.dropped(first: SpoolPosition(sequence: 2, record: 2), bytes: 0)
        #expect(step(2000, dropped) == "drop oldest of a")
        #expect(a.ledger.text == "received 2, spoolFull 2")
        #expect(step(2000, .appended(bytes: 900)) == "append b: 0=3")
        #expect(sendAll() == [3])
        outbox.confirm(upTo: .max)
        #expect(outbox.ledger.text == "received 3, confirmed 1, spoolFull 2")
    }

    /// With a server, or when it was said so, nothing is given up: what is new waits until there is room.
    @Test(arguments: [(false, false), (false, true), (true, true)])
    func aFullDiskMayHaveToWait(dropsOldest: Bool, isConnected: Bool) {
        spooler.policy.disk = 10_000
        spooler.policy.dropsOldest = dropsOldest
        open()
        if isConnected { spooler.connected() }
        add(to: outbox.addLane(name: "a"))
        let lane = outbox.addLane(name: "b")
        add(to: lane, at: 500)
        #expect(step(1500, .appended(bytes: 9000)) == "append a: 0=1" && step(1500, .synced) == "sync")
        #expect(ask(2000) == nil && due(2000) == 2500 && ask(2500) == nil && due(2500) == 3000)
        #expect(lane.ledger.text == "received 1, queued 1" && spooler.problem == nil)
        spooler.policy.disk = 20_000
        #expect(step(3000, .appended(bytes: 900)) == "append b: 0=2")
    }
}
