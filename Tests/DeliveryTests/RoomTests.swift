// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import Reactor
import Spool
import SpoolSupport
import Testing

/// When a lane gets no more into memory, and how others hear that it may.
@Suite("Outbox: room in the queue")
final class RoomTests {
    /// Bytes beyond which more is of no use.
    static let enough = 256 << 10

    let outbox = Outbox(quantum: 64 << 10)
    let factory = Factory()
    let spooler: Spooler
    private var calls = 0
    private var offset: UInt64 = 0

    init() { spooler = Spooler(outbox: outbox, pool: factory.pool, policy: SpoolPolicy()) }

    // Lanes and the batches in them hold one another.
    deinit { outbox.dropAll(.stopped) }

    private func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: (1_000_000 + milliseconds) * 1_000_000)
    }

    private func add(_ bytes: Int, to lane: Lane) {
        outbox.enqueueOwn(factory.batch(size: bytes), on: lane, at: at(0))
    }

    /// Calls of `onRoom` while `body` runs.
    private func calls(_ body: () -> Void) -> Int {
        calls = 0
        outbox.onRoom = { [unowned self] in calls += 1 }
        defer { outbox.onRoom = nil }
        body()
        return calls
    }

    private func open(_ contents: [SpoolContents] = []) {
        #expect(spooler.next(at: at(0)) == .open)
        spooler.completed(.opened(contents, asideBytes: 0, notes: []), at: at(0))
    }

    private func position(_ sequence: UInt64) -> SpoolPosition {
        SpoolPosition(sequence: sequence, record: sequence)
    }

    /// Batches of one record each on lane a.
    private func contents(_ count: UInt64) -> SpoolContents {
        SpoolContents(
            lane: SpoolLane(name: "a", isUrgent: false),
            first: position(0),
            end: position(count),
            bytes: 1 << 20,
            segments: 1,
            oldest: 0
        )
    }

    /// Answers the question for the batch at `place`.
    private func replay(_ place: UInt64, bytes: Int, at milliseconds: UInt64) throws {
        let lane = SpoolLane(name: "a", isUrgent: false)
        let request = spooler.next(at: at(milliseconds))
        #expect(request == .read(lane, from: position(place), maximum: spooler.policy.piece))
        // Only a spool makes pieces: an empty one gives this one, to be filled.
        let empty = try SpoolStore(disk: MemoryDisk()) { 0 }
        var piece = try empty.read(lane, from: position(place + 1), maximum: 0)
        piece.batches = [
            SpoolBatch(position: position(place), records: 1, payload: [UInt8](repeating: 7, count: bytes))
        ]
        spooler.completed(.piece(piece), at: at(milliseconds))
    }

    // MARK: Enough

    @Test(arguments: [(enough - 1, false), (enough, true), (2 * enough, true)])
    func enoughWaits(bytes: Int, hasEnough: Bool) {
        let lane = outbox.addLane(name: "a")
        let urgent = outbox.addLane(name: "a", priority: .urgent)
        add(bytes, to: lane)
        #expect(!outbox.hasEnough(lane), "without a server memory is all there is")
        spooler.connected()
        #expect(outbox.hasEnough(lane) == hasEnough)
        #expect(!outbox.hasEnough(urgent), "others' bytes do not keep a lane that has none from having some")
        spooler.disconnected()
        #expect(!outbox.hasEnough(lane))
    }

    /// All lanes count together, and each that has something waits.
    @Test func lanesShareTheRoom() {
        spooler.connected()
        let lanes = (0..<4).map { outbox.addLane(name: "\($0)", priority: $0 == 3 ? .urgent : .normal) }
        add(Self.enough / 2, to: lanes[0])
        add(4, to: lanes[1])
        add(Self.enough / 2 - 8, to: lanes[3])
        #expect(lanes.allSatisfy { !outbox.hasEnough($0) })
        add(4, to: lanes[1])
        #expect(lanes.map { outbox.hasEnough($0) } == [true, true, false, true])
    }

    /// What is on its way does not count: it is gone as soon as the server has read it.
    @Test func inFlightTakesNoRoom() throws {
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        for _ in 0..<8 { add(Self.enough / 4, to: lane) }
        for waiting in (4...7).reversed() {
            #expect(outbox.hasEnough(lane), "\(waiting + 1) wait")
            outbox.sendNext(at: &offset)
        }
        #expect(outbox.hasEnough(lane))
        outbox.sendNext(at: &offset)
        #expect(!outbox.hasEnough(lane))
        outbox.streamLost()
        #expect(outbox.hasEnough(lane), "what comes back waits again")
    }

    // MARK: Room again

    @Test func takingABatchMakesRoom() throws {
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(Self.enough, to: lane)
        #expect(calls { add(100, to: lane) } == 0)
        var batch: Batch?
        outbox.onRoom = { [outbox] in #expect(!outbox.hasEnough(lane), "the batch has left when room is announced") }
        batch = outbox.next()
        #expect(try #require(batch).byteCount == Self.enough)
        #expect(calls { batch = outbox.next() } == 1 && batch?.byteCount == 100)
        #expect(calls { batch = outbox.next() } == 0 && batch == nil)
    }

    @Test func losingTheServerMakesRoom() {
        add(Self.enough, to: outbox.addLane(name: "a"))
        #expect(calls { spooler.connected() } == 0)
        #expect(calls { spooler.disconnected() } == 1)
    }

    // MARK: The disk

    /// A lane with a backlog goes on through the disk: its plugin is not kept waiting until all of it has been sent.
    @Test func aBacklogHoldsNobodyBack() throws {
        spooler.policy.replayRate = .max
        open([contents(3)])
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        let other = outbox.addLane(name: "b")
        try replay(0, bytes: Self.enough, at: 0)
        add(10, to: lane)
        add(10, to: other)
        #expect(lane.hasBacklog && !outbox.hasEnough(lane))
        #expect(outbox.hasEnough(other), "it has its turn before the backlog is through")
        try replay(1, bytes: Self.enough, at: 1)
        #expect(lane.hasBacklog && !outbox.hasEnough(lane))
        try replay(2, bytes: Self.enough, at: 2)
        #expect(!lane.hasBacklog && outbox.hasEnough(lane), "from here on it is as any other")
    }

    /// A backlog that becomes known late takes the place of what was queued: the lane may go on.
    @Test func lateBacklogMakesRoom() {
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(Self.enough, to: lane)
        #expect(outbox.hasEnough(lane))
        #expect(calls { open([contents(3)]) } > 0)
        #expect(lane.hasBacklog && lane.isEmpty && !outbox.hasEnough(lane))
    }

    /// The disk gave up what waited in memory too, just when a server was found: those of the lane hear of the room, though
    /// nothing of it was sent.
    @Test func givenUpBatchesMakeRoom() throws {
        spooler.policy.disk = Self.enough + 8000
        open()
        let lane = outbox.addLane(name: "a")
        add(Self.enough, to: lane)
        let request = try #require(spooler.next(at: at(2000)))
        #expect(request.kind == .append)
        spooler.completed(.appended(bytes: Self.enough + 100), at: at(2000))
        #expect(spooler.next(at: at(2000)) == .sync)
        spooler.completed(.synced, at: at(2000))
        add(7000, to: outbox.addLane(name: "b"))
        #expect(spooler.next(at: at(4000)) == .dropOldest(lane.spoolLane))
        spooler.connected()
        #expect(outbox.hasEnough(lane))
        #expect(calls { spooler.completed(.dropped(first: position(1), bytes: 0), at: at(4000)) } > 0)
        #expect(lane.isEmpty && !outbox.hasEnough(lane))
        #expect(lane.ledger.text == "received 1, spoolFull 1")
    }
}
