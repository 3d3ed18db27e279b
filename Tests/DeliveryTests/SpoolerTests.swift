// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import Reactor
import Spool
import SpoolSupport
import Testing

/// The spooler by hand: what it asks is compared as text, such as "append a: 0=1 1=2", batches 1 and 2 at places 0
/// and 1 of lane a. Times are in milliseconds.
@Suite("Spooler")
final class SpoolerTests {
    let outbox = Outbox(quantum: 1000)
    let factory = Factory()
    let spooler: Spooler
    let disk = MemoryDisk()
    private var store: SpoolStore?
    var offset: UInt64 = 0

    init() { spooler = Spooler(outbox: outbox, pool: factory.pool, policy: SpoolPolicy()) }

    // Lanes and the batches in them hold one another.
    deinit { outbox.dropAll(.stopped) }

    func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: (1_000_000 + milliseconds) * 1_000_000)
    }

    /// What is asked; it waits for its answer.
    func ask(_ time: UInt64) -> String? { spooler.next(at: at(time))?.text }

    /// What is asked, and answered at once.
    func step(_ time: UInt64, _ answer: SpoolAnswer) -> String? {
        guard let request = spooler.next(at: at(time)) else { return nil }
        spooler.completed(answer, at: at(time))
        return request.text
    }

    /// What is asked; a real spool does it at once.
    func act(_ time: UInt64) throws -> String? {
        guard let request = spooler.next(at: at(time)) else { return nil }
        let store = try self.store ?? SpoolStore(disk: disk) { 0 }
        self.store = store
        spooler.completed(store.perform(request), at: at(time))
        return request.text
    }

    /// When it wants to be asked again, in milliseconds.
    func due(_ time: UInt64) -> UInt64? {
        spooler.due(at: at(time)).map { $0.nanoseconds / 1_000_000 - 1_000_000 }
    }

    func open(_ contents: [SpoolContents] = []) { _ = step(0, .opened(contents, asideBytes: 0, notes: [])) }

    func add(_ count: Int = 1, to lane: Lane, at time: UInt64 = 0, size: Int = 100) {
        for _ in 0..<count { outbox.enqueueOwn(factory.batch(size: size), on: lane, at: at(time)) }
    }

    func sendAll() -> [Int] {
        var numbers: [Int] = []
        while let batch = outbox.sendNext(at: &offset) { numbers.append(batch.number) }
        return numbers
    }

    func disconnect() {
        outbox.streamLost()
        offset = 0
        spooler.disconnected()
    }

    func position(_ sequence: UInt64) -> SpoolPosition {
        SpoolPosition(sequence: sequence, record: 10 * sequence)
    }

    /// Five batches of ten records.
    func contents(_ lane: String, isUrgent: Bool = false, bytes: Int = 5000) -> SpoolContents {
        SpoolContents(
            lane: SpoolLane(name: lane, isUrgent: isUrgent),
            first: position(0),
            end: position(5),
            bytes: bytes,
            segments: 1,
            oldest: 0
        )
    }

    /// Batches of ten records and four bytes each, whose numbers are 100 and their place. Only a spool makes pieces: an
    /// empty one gives this one, to be filled.
    func piece(_ places: [UInt64], next: UInt64) throws -> SpoolAnswer {
        let empty = try SpoolStore(disk: MemoryDisk()) { 0 }
        var piece = try empty.read(SpoolLane(name: "a", isUrgent: false), from: position(next), maximum: 0)
        piece.batches = places.map { place in
            SpoolBatch(position: position(place), records: 10, payload: [UInt8(100 + place), 0, 0, 0])
        }
        return .piece(piece)
    }

    // MARK: Opening

    @Test func theDiskIsOpenedFirst() {
        add(to: outbox.addLane(name: "a"))
        #expect(ask(5000) == "open" && ask(5000) == nil, "one thing at a time")
        spooler.completed(.opened([], asideBytes: 0, notes: ["a note"]), at: at(5000))
        #expect(ask(5000) == "append a: 0=1")
    }

    @Test func withoutADiskNothingIsAsked() {
        spooler.policy.disk = 0
        add(to: outbox.addLane(name: "a"))
        #expect(ask(60_000) == nil && due(60_000) == nil && spooler.isFinished)
    }

    // MARK: Writing

    /// In flight or not: what is unconfirmed is on the disk before it is 2 s old.
    @Test(arguments: [false, true])
    func oldBatchesAreWrittenOnce(isConnected: Bool) {
        open()
        let lane = outbox.addLane(name: "a")
        add(to: lane)
        if isConnected {
            spooler.connected()
            #expect(sendAll() == [1])
        }
        #expect(ask(0) == nil && due(0) == 1500)
        #expect(ask(1499) == nil && due(1499) == 1500)
        #expect(step(1500, .appended(bytes: 900)) == "append a: 0=1")
        #expect(step(1500, .synced) == "sync")
        #expect(ask(1500) == nil && due(1500) == nil)
        #expect(ask(60_000) == nil && due(60_000) == nil)
        #expect(lane.ledger.text == (isConnected ? "received 1, inFlight 1" : "received 1, spooled 1"))
        #expect(spooler.bytes == 900 && !spooler.hasBacklog && spooler.isFinished)
    }

    /// While confirmations flow the disk has nothing to do.
    @Test func confirmedBatchesAreNeverWritten() {
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        for round in 0..<100 as Range<UInt64> {
            add(to: lane, at: 500 * round)
            #expect(sendAll().count == 1)
            if round >= 2 { outbox.confirm(upTo: 100 * (round - 1)) }
            #expect(ask(500 * round) == nil)
        }
        #expect(lane.ledger.text == "received 100, inFlight 2, confirmed 98" && spooler.bytes == 0)
    }

    /// Heartbeats are not kept.
    @Test func whatIsNotCarriedOverIsNotWritten() {
        open()
        outbox.enqueueOwn(factory.batch(), on: outbox.addLane(name: "a"), isCarriedOver: false, at: at(0))
        #expect(ask(60_000) == nil && due(60_000) == nil)
        spooler.finish()
        #expect(ask(60_000) == nil && spooler.isFinished)
    }

    @Test func syncsAreAnIntervalApart() {
        open()
        let lane = outbox.addLane(name: "a")
        add(to: lane)
        add(to: lane, at: 200)
        #expect(step(1500, .appended(bytes: 900)) == "append a: 0=1")
        #expect(step(1500, .synced) == "sync")
        #expect(ask(1800) == nil && due(1800) == 2000)
        #expect(step(2000, .appended(bytes: 1000)) == "append a: 1=2")
        #expect(step(2000, .synced) == "sync")
        #expect(ask(2000) == nil && due(2000) == nil)
    }

    /// Piece by piece, and synced on the way when that takes long.
    @Test func aLongWritingIsSyncedOnTheWay() {
        spooler.policy.piece = 100
        open()
        add(6, to: outbox.addLane(name: "a"))
        let appended = SpoolAnswer.appended(bytes: 1000)
        #expect(step(1500, appended) == "append a: 0=1")
        #expect(step(1900, appended) == "append a: 1=2")
        #expect(step(2000, .synced) == "sync")
        for places in ["2=3", "3=4", "4=5", "5=6"] { #expect(step(2000, appended) == "append a: \(places)") }
        #expect(step(2000, .synced) == "sync")
        #expect(ask(2000) == nil && due(2000) == nil)
    }

    @Test(
        arguments: [(100, "received 2, inFlight 1, confirmed 1", 1), (200, "received 2, confirmed 2", 2)]
            as [(UInt64, String, UInt64)]
    )
    func confirmedWhileItIsWritten(offset: UInt64, ledger: String, first: UInt64) {
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(2, to: lane)
        #expect(sendAll() == [1, 2])
        #expect(ask(1500) == "append a: 0=1 1=2")
        outbox.confirm(upTo: offset)
        spooler.completed(.appended(bytes: 1000), at: at(1600))
        #expect(lane.ledger.text == ledger)
        #expect(step(1600, .synced) == "sync")
        #expect(step(1600, .advanced(bytes: 1000)) == "advance a to \(first)")
        #expect(ask(1600) == nil && due(1600) == nil)
        disconnect()
        #expect(outbox.ledger.spooled == 2 - first && outbox.ledger.isBalanced)
    }

    /// The disk hears of confirmations once in an interval.
    @Test func confirmationsAreTold() {
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(3, to: lane)
        #expect(sendAll() == [1, 2, 3])
        #expect(step(1500, .appended(bytes: 1000)) == "append a: 0=1 1=2 2=3")
        #expect(step(1500, .synced) == "sync")
        outbox.confirm(upTo: 100)
        #expect(step(1500, .advanced(bytes: 1000)) == "advance a to 1")
        outbox.confirm(upTo: 200)
        #expect(ask(1600) == nil && due(1600) == 2000)
        outbox.confirm(upTo: 300)
        #expect(step(2000, .advanced(bytes: 1000)) == "advance a to 3")
        #expect(ask(2000) == nil && due(2000) == nil)
    }

    // MARK: Failures

    @Test func placesOfAFailedWritingAreGivenAgain() {
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(3, to: lane)
        #expect(sendAll() == [1, 2, 3])
        #expect(ask(1500) == "append a: 0=1 1=2 2=3")
        outbox.confirm(upTo: 100)
        spooler.completed(.failed("no space"), at: at(1500))
        #expect(spooler.problem == "no space")
        #expect(ask(1500) == nil && due(1500) == 6500 && ask(6499) == nil)
        #expect(step(6500, .synced) == "append a: 0=2 1=3, attempt 1")
        #expect(spooler.problem == "the answer does not fit the question")
        #expect(ask(11_499) == nil)
        #expect(step(11_500, .appended(bytes: 1000)) == "append a: 0=2 1=3, attempt 2")
        #expect(spooler.problem == nil && lane.ledger.text == "received 3, inFlight 2, confirmed 1")
        #expect(step(11_500, .synced) == "sync")
        #expect(ask(11_500) == nil, "nothing that is on the disk is confirmed")
        outbox.confirm(upTo: 200)
        #expect(step(11_500, .advanced(bytes: 1000)) == "advance a to 1")
    }

    /// Something else may work on a full disk: only what failed shows that it is well again.
    @Test func aProblemLastsUntilTheSameSucceeds() {
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(to: lane)
        #expect(sendAll() == [1])
        #expect(step(1500, .appended(bytes: 900)) == "append a: 0=1")
        #expect(step(1500, .synced) == "sync")
        outbox.confirm(upTo: 100)
        #expect(step(1500, .failed("busy")) == "advance a to 1")
        add(to: lane, at: 2000)
        add(to: lane, at: 6500)
        #expect(step(6500, .appended(bytes: 1000)) == "append a: 1=2" && spooler.problem == "busy")
        #expect(step(6500, .synced) == "sync" && spooler.problem == "busy")
        #expect(step(6500, .advanced(bytes: 1000)) == "advance a to 1" && spooler.problem == nil)
    }

    /// A driver arms its timer for `due`: a time that is past would make it spin.
    @Test func aDiskThatHangsIsWaitedFor() {
        #expect(ask(0) == "open" && due(0) == 10_000)
        for time in [10_000, 10_001, 60_000] as [UInt64] {
            #expect(ask(time) == nil && due(time).map { $0 > time } ?? true)
        }
        spooler.completed(.opened([], asideBytes: 0, notes: []), at: at(60_000))
        #expect(spooler.problem == nil && ask(60_000) == nil && due(60_000) == nil)
    }

    @Test func aFailureOfWhatIsNotWantedAnyMoreIsWaitedFor() {
        open([contents("a")])
        spooler.connected()
        #expect(step(0, .failed("bad sector")) == "read a from 0" && due(0) == 5000)
        disconnect()
        for time in [5000, 5001, 60_000] as [UInt64] {
            #expect(ask(time) == nil && due(time).map { $0 > time } ?? true)
        }
        spooler.connected()
        #expect(ask(60_000) == "read a from 0")
    }

    // MARK: Lanes that end

    @Test func aLaneThatHasEndedLeavesNoFile() throws {
        #expect(try act(0) == "open")
        spooler.connected()
        for round in 0..<3 as Range<UInt64> {
            let time = 10_000 * round
            let lane = outbox.addLane(name: "a")
            add(2, to: lane, at: time)
            #expect(sendAll().count == 2)
            #expect(try act(time + 1500) == "append a: 0=\(2 * round + 1) 1=\(2 * round + 2)")
            #expect(try act(time + 1500) == "sync")
            outbox.retire(lane)
            outbox.confirm(upTo: .max)
            #expect(outbox.lanes.count == 1, "its files are still there")
            #expect(try act(time + 1500) == "advance a to 2, final")
            #expect(outbox.lanes.isEmpty && spooler.bytes == 0 && disk.bytes == 0)
            #expect(try act(time + 1500) == nil && due(time + 1500) == nil)
        }
        #expect(outbox.ledger.text == "received 6, confirmed 6")
    }

    /// Its last record is confirmed while the disk writes it.
    @Test func aLaneIsNotForgottenWhileItIsWritten() {
        open()
        spooler.connected()
        let lane = outbox.addLane(name: "a")
        add(to: lane)
        #expect(sendAll() == [1])
        #expect(ask(1500) == "append a: 0=1")
        outbox.retire(lane)
        outbox.confirm(upTo: 100)
        spooler.completed(.appended(bytes: 900), at: at(1500))
        #expect(spooler.bytes == 900)
        #expect(step(1500, .synced) == "sync")
        #expect(step(1500, .advanced(bytes: 0)) == "advance a to 1, final")
        #expect(outbox.lanes.isEmpty && outbox.ledger.text == "received 1, confirmed 1")
    }

    // MARK: The end

    @Test func theEndWritesEverything() {
        open()
        spooler.connected()
        let (a, b) = (outbox.addLane(name: "a"), outbox.addLane(name: "b"))
        add(to: a)
        add(to: b)
        #expect(sendAll() == [1, 2])
        #expect(step(1500, .appended(bytes: 900)) == "append a: 0=1")
        #expect(step(1500, .appended(bytes: 900)) == "append b: 0=2" && step(1500, .synced) == "sync")
        outbox.confirm(upTo: 100)
        add(to: a, at: 2000)
        add(to: b, at: 2000)
        disconnect()
        spooler.finish()
        #expect(!spooler.isFinished)
        #expect(step(2000, .appended(bytes: 1000)) == "append a: 1=3")
        #expect(step(2000, .appended(bytes: 1000)) == "append b: 1=4")
        #expect(!spooler.isFinished)
        #expect(step(2000, .synced) == "sync")
        #expect(ask(2000) == "advance a to 1" && !spooler.isFinished)
        spooler.completed(.advanced(bytes: 1000), at: at(2000))
        #expect(spooler.isFinished && ask(2000) == nil && due(2000) == nil)
        outbox.dropAll(.stopped)
        #expect(outbox.ledger.text == "received 4, spooled 3, confirmed 1")
    }

    /// Where everything is confirmed nothing stays, also when the disk knows that already.
    @Test func theEndLeavesNothingConfirmed() {
        open()
        spooler.connected()
        add(to: outbox.addLane(name: "a"))
        #expect(sendAll() == [1])
        #expect(step(1500, .appended(bytes: 900)) == "append a: 0=1" && step(1500, .synced) == "sync")
        outbox.confirm(upTo: .max)
        #expect(step(1500, .advanced(bytes: 900)) == "advance a to 1" && spooler.isFinished)
        spooler.finish()
        #expect(!spooler.isFinished)
        #expect(step(1500, .advanced(bytes: 0)) == "advance a to 1, final" && spooler.isFinished)
    }

    /// An agent must end, whatever its disk does.
    @Test func theEndDoesNotWaitForADiskThatFails() {
        open()
        add(to: outbox.addLane(name: "a"))
        spooler.finish()
        #expect(step(0, .failed("broken")) == "append a: 0=1")
        #expect(spooler.isFinished)
        outbox.dropAll(.stopped)
        #expect(outbox.ledger.text == "received 1, stopped 1")
    }

    @Test func theEndDoesNotWaitForRoom() {
        spooler.policy.disk = 1000
        spooler.policy.dropsOldest = false
        open()
        add(to: outbox.addLane(name: "a"))
        spooler.finish()
        #expect(ask(0) == nil && spooler.isFinished)
    }
}

extension SpoolRequest {
    fileprivate var text: String {
        switch self {
        case .open: return "open"
        case .append(let lane, let attempt, let batches):
            let places = batches.map { "\($0.position.sequence)=\($0.number)" }.joined(separator: " ")
            return "append \(lane.name): \(places)" + (attempt == 0 ? "" : ", attempt \(attempt)")
        case .sync: return "sync"
        case .read(let lane, let place, _): return "read \(lane.name) from \(place.sequence)"
        case .advance(let lane, let first, let isFinal):
            return "advance \(lane.name) to \(first.sequence)" + (isFinal ? ", final" : "")
        case .dropOldest(let lane): return "drop oldest of \(lane.name)"
        }
    }
}

extension SpoolBatch {
    /// Which of the factory's batches it is.
    fileprivate var number: Int { payload.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) } }
}
