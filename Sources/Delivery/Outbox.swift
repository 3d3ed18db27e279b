// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
public import Reactor

/// Owns every batch from cut to confirmation; nothing else decides that a batch may be freed.
///
/// Batches leave a lane in order (`next`), are in flight with the stream offset at which their message ends (`sent`),
/// and are confirmed by offset (`confirm`). When a stream is lost, what was in flight goes back to the front of its
/// lane. Lanes share the connection by deficit round robin, urgent ones first.
///
/// `Outbox+Spool.swift` moves batches between memory and the disk, as the `Spooler` decides.
public final class Outbox {
    /// Bytes that a lane may send each round.
    private let quantum: Int
    public private(set) var lanes: [Lane] = []
    private var urgent = ServiceOrder()
    private var normal = ServiceOrder()
    private var inFlight: ContiguousArray<(batch: Batch, end: UInt64)> = []
    private var inFlightHead = 0
    /// Of lanes that were removed, and of agents before this one.
    private var closedBooks = Ledger()
    /// Batches in memory, in flight or not.
    private(set) var residentBatches = 0
    /// Those of them that would be sent again: the others hold no memory of the pipes.
    private var carriedBatches = 0
    /// Given by `next`, and not on the stream yet.
    private var taken: [Batch] = []
    /// Bytes of records in messages that are not confirmed.
    public private(set) var inFlightBytes = 0
    /// Batches in flight that would be sent again.
    public private(set) var carriedInFlight = 0

    /// Is there a connection that takes records? The spooler knows.
    public internal(set) var hasServer = false {
        didSet { if !hasServer { onRoom?() } }
    }

    /// Bytes that wait to be sent, beyond which a lane with some of them gets no more while a server takes records. More
    /// would not be sent sooner: it would only be older when it is, and no longer in the processor's cache.
    static let enough = 256 << 10
    /// Called when there may be room again for lanes that `hasEnough` was true of.
    public var onRoom: (() -> Void)?

    /// Somebody looks on: called with each batch that comes, before it is queued.
    public var onBatch: ((RecordBatch, Lane) -> Void)?

    public init(quantum: Int = 256 << 10) { self.quantum = quantum }

    // MARK: Lanes

    /// The lane of that name: the one that is there, when its records have not all been confirmed, or a new one.
    public func addLane(name: String, priority: Lane.Priority = .normal) -> Lane {
        if let lane = lanes.first(where: { $0.name == name && $0.priority == priority }) {
            lane.isRetired = false
            return lane
        }
        let lane = Lane(name: name, priority: priority)
        lanes.append(lane)
        return lane
    }

    /// Removes a lane whose producer has ended. It stays until its last record is confirmed.
    public func retire(_ lane: Lane) {
        lane.isRetired = true
        removeRetired()
    }

    func removeRetired() {
        lanes.removeAll { lane in
            guard lane.isRetired, lane.isSettled else { return false }
            closedBooks = closedBooks + lane.ledger
            return true
        }
    }

    /// What became of every record of every lane, since the first agent with these books.
    public var ledger: Ledger { lanes.reduce(closedBooks) { $0 + $1.ledger } }

    /// Takes the books of earlier agents over.
    public func continueBooks(_ books: Ledger) { closedBooks = closedBooks + books }

    // MARK: In

    /// Records were read and checked. They count as queued from here on, cut into a batch or not.
    public func received(accepted: UInt64, malformed: UInt64, on lane: Lane) {
        lane.ledger.received += accepted + malformed
        lane.ledger.malformed += malformed
        lane.ledger.queued += accepted
    }

    /// Takes a batch whose records were counted by `received`.
    public func enqueue(
        _ records: RecordBatch,
        on lane: Lane,
        isCarriedOver: Bool = true,
        at time: MonotonicTime = .now()
    ) {
        onBatch?(records, lane)
        let batch = Batch(records, lane: lane, at: time, isCarriedOver: isCarriedOver)
        came(batch)
        lane.append(batch)
        activate(lane)
    }

    /// Takes records that the agent made itself, counting them.
    public func enqueueOwn(
        _ records: RecordBatch,
        on lane: Lane,
        isCarriedOver: Bool = true,
        at time: MonotonicTime = .now()
    ) {
        received(accepted: UInt64(records.count), malformed: 0, on: lane)
        enqueue(records, on: lane, isCarriedOver: isCarriedOver, at: time)
    }

    func activate(_ lane: Lane) {
        guard !lane.isActive, !lane.front.isEmpty else { return }
        lane.isActive = true
        lane.deficit = 0
        switch lane.priority {
        case .urgent: urgent.append(lane)
        case .normal: normal.append(lane)
        }
    }

    /// Has this lane as much in memory as is of use? One with a backlog goes on through the disk: what is in memory is what
    /// was read back, and its plugin must not wait until all of that is sent.
    public func hasEnough(_ lane: Lane) -> Bool {
        hasServer && !lane.hasBacklog && !lane.front.isEmpty && lanes.reduce(0) { $0 + $1.front.bytes } >= Self.enough
    }

    // MARK: Out

    /// Is there nothing in memory that could be sent?
    public var isEmpty: Bool { urgent.isEmpty && normal.isEmpty }
    /// Is there nothing in memory at all?
    public var isIdle: Bool { residentBatches == 0 }
    /// Is there nothing in memory whose confirmation would free any of the pipes'?
    public var holdsNothing: Bool { carriedBatches == 0 }
    public var inFlightBatches: Int { inFlight.count - inFlightHead }

    /// The batch to send next. It must be given to `sent`, or to `streamLost` as unsent.
    public func next() -> Batch? {
        guard let batch = urgent.next(quantum: quantum) ?? normal.next(quantum: quantum) else { return nil }
        if batch.isSpooled { batch.lane.ledger.spooled -= batch.count } else { batch.lane.ledger.queued -= batch.count }
        leaves(batch)
        taken.append(batch)
        onRoom?()
        return batch
    }

    /// Takes records past the queue, for the message that must be the first of its stream. Not carried over.
    public func begin(_ records: RecordBatch, on lane: Lane, at time: MonotonicTime = .now()) -> Batch {
        lane.ledger.received += UInt64(records.count)
        let batch = Batch(records, lane: lane, at: time, isCarriedOver: false)
        came(batch)
        leaves(batch)
        taken.append(batch)
        return batch
    }

    private func leaves(_ batch: Batch) {
        batch.isInFlight = true
        batch.lane.ledger.inFlight += batch.count
        inFlightBytes += batch.byteCount
        if batch.isCarriedOver { carriedInFlight += 1 }
    }

    private func returns(_ batch: Batch) {
        batch.isInFlight = false
        batch.lane.ledger.inFlight -= batch.count
        inFlightBytes -= batch.byteCount
        if batch.isCarriedOver { carriedInFlight -= 1 }
    }

    /// The batch's message was queued on the stream and ends at `offset`, in bytes of the stream.
    public func sent(_ batch: Batch, end offset: UInt64) {
        precondition(inFlight.last.map { $0.end <= offset } ?? true, "stream offsets only grow")
        if batch.wasSent { batch.lane.ledger.resent += batch.count }
        batch.wasSent = true
        inFlight.append((batch, offset))
        if taken.last === batch { taken.removeLast() } else { taken.removeAll { $0 === batch } }
    }

    /// Everything in flight that ends at or before `offset` has arrived: it is freed.
    ///
    /// - Returns: whether there was any.
    @discardableResult
    public func confirm(upTo offset: UInt64) -> Bool {
        while inFlightHead < inFlight.count, inFlight[inFlightHead].end <= offset {
            let batch = inFlight[inFlightHead].batch
            returns(batch)
            batch.lane.ledger.confirmed += batch.count
            done(batch)
            inFlightHead += 1
        }
        guard inFlightHead > 0 else { return false }
        inFlight.removeSubrange(..<inFlightHead)
        inFlightHead = 0
        removeRetired()
        return true
    }

    func done(_ batch: Batch) {
        went(batch)
        batch.lane.settle(batch)
    }

    /// It is in memory.
    func came(_ batch: Batch) {
        residentBatches += 1
        if batch.isCarriedOver { carriedBatches += 1 }
    }

    /// It is not, any more.
    func went(_ batch: Batch) {
        residentBatches -= 1
        if batch.isCarriedOver { carriedBatches -= 1 }
    }

    /// Batches of a lane that are in flight and would be sent again.
    func onTheirWay(_ lane: Lane) -> [Batch] {
        (inFlight[inFlightHead...].map(\.batch) + taken).filter { $0.lane === lane && $0.isCarriedOver }
    }

    /// The stream is gone: what was in flight goes back to its lanes, in order, and is sent again on the next one.
    /// So does what was taken by `next` and never became part of it.
    public func streamLost() {
        let batches = inFlight[inFlightHead...].map(\.batch) + taken
        taken = []
        inFlight.removeAll(keepingCapacity: true)
        inFlightHead = 0
        var byLane: [(lane: Lane, batches: [Batch])] = []
        for batch in batches {
            returns(batch)
            guard batch.isCarriedOver else {
                batch.lane.ledger.drop(batch.count, .superseded)
                done(batch)
                continue
            }
            if batch.isSpooled {
                batch.lane.ledger.spooled += batch.count
            } else {
                batch.lane.ledger.queued += batch.count
            }
            if let index = byLane.firstIndex(where: { $0.lane === batch.lane }) {
                byLane[index].batches.append(batch)
            } else {
                byLane.append((batch.lane, [batch]))
            }
        }
        dropVolatile()
        for entry in byLane {
            entry.lane.takeBack(entry.batches)
            activate(entry.lane)
        }
        removeRetired()
    }

    /// Queued batches that were made for the lost connection go with it.
    private func dropVolatile() {
        for lane in lanes {
            for queue in [\Lane.front, \Lane.fresh] where !lane[keyPath: queue].isEmpty {
                lane[keyPath: queue].removeAll { batch in
                    guard !batch.isCarriedOver else { return false }
                    lane.ledger.queued -= batch.count
                    lane.ledger.drop(batch.count, .superseded)
                    went(batch)
                    return true
                }
            }
        }
    }

    /// Gives up everything that is not on the disk, counted: the agent ends.
    public func dropAll(_ reason: DropReason) {
        streamLost()
        for lane in lanes {
            for queue in [\Lane.front, \Lane.fresh] {
                lane[keyPath: queue].removeAll { batch in
                    went(batch)
                    batch.isDone = true
                    return true
                }
            }
            lane.unwritten.removeAll { _ in true }
            lane.ledger.drop(lane.ledger.queued, reason)
            lane.ledger.queued = 0
        }
        removeRetired()
    }
}
