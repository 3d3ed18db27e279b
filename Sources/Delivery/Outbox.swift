// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire

/// Owns every batch from cut to confirmation; nothing else decides that a batch may be freed.
///
/// Batches leave a lane in order (`next`), are in flight with the stream offset at which their message ends (`sent`),
/// and are confirmed by offset (`confirm`). When a stream is lost, what was in flight goes back to the front of its
/// lane. Lanes share the connection by deficit round robin (Shreedhar and Varghese, 1995), urgent ones first.
public final class Outbox {
    /// Bytes that a lane may send each round.
    private let quantum: Int
    public private(set) var lanes: [Lane] = []
    private var urgent = ServiceOrder()
    private var normal = ServiceOrder()
    private var inFlight: ContiguousArray<(batch: Batch, end: UInt64)> = []
    private var inFlightHead = 0
    /// Ledgers of lanes that were removed.
    private var retired = Ledger()

    public init(quantum: Int = 256 << 10) { self.quantum = quantum }

    // MARK: Lanes

    public func addLane(name: String, priority: Lane.Priority = .normal) -> Lane {
        let lane = Lane(name: name, priority: priority)
        lanes.append(lane)
        return lane
    }

    /// Removes a lane whose producer has ended. It stays until its last record is confirmed.
    public func retire(_ lane: Lane) {
        lane.isRetired = true
        removeRetired()
    }

    private func removeRetired() {
        lanes.removeAll { lane in
            guard lane.isRetired, lane.ledger.queued == 0, lane.ledger.inFlight == 0 else { return false }
            retired = retired + lane.ledger
            return true
        }
    }

    /// What became of every record of every lane since the agent started.
    public var ledger: Ledger { lanes.reduce(retired) { $0 + $1.ledger } }

    // MARK: In

    /// Records were read and checked. They count as queued from here on, cut into a batch or not.
    public func received(accepted: UInt64, malformed: UInt64, on lane: Lane) {
        lane.ledger.received += accepted + malformed
        lane.ledger.malformed += malformed
        lane.ledger.queued += accepted
    }

    /// Takes a batch whose records were counted by `received`.
    public func enqueue(_ records: RecordBatch, on lane: Lane, isCarriedOver: Bool = true) {
        lane.append(Batch(records, lane: lane, isCarriedOver: isCarriedOver))
        activate(lane)
    }

    /// Takes records that the agent made itself, counting them.
    public func enqueueOwn(_ records: RecordBatch, on lane: Lane, isCarriedOver: Bool = true) {
        received(accepted: UInt64(records.count), malformed: 0, on: lane)
        enqueue(records, on: lane, isCarriedOver: isCarriedOver)
    }

    private func activate(_ lane: Lane) {
        guard !lane.isActive else { return }
        lane.isActive = true
        lane.deficit = 0
        switch lane.priority {
        case .urgent: urgent.append(lane)
        case .normal: normal.append(lane)
        }
    }

    // MARK: Out

    public var isEmpty: Bool { urgent.isEmpty && normal.isEmpty }
    public var isIdle: Bool { isEmpty && inFlightHead == inFlight.count }
    public var inFlightBatches: Int { inFlight.count - inFlightHead }

    /// The batch to send next. It must be given to `sent`, or to `streamLost` as unsent.
    public func next() -> Batch? {
        let batch = urgent.next(quantum: quantum) ?? normal.next(quantum: quantum)
        guard let batch else { return nil }
        let count = UInt64(batch.records.count)
        batch.lane.ledger.queued -= count
        batch.lane.ledger.inFlight += count
        return batch
    }

    /// Takes records past the queue, for the message that must be the first of its stream. Not carried over.
    public func begin(_ records: RecordBatch, on lane: Lane) -> Batch {
        received(accepted: UInt64(records.count), malformed: 0, on: lane)
        lane.ledger.queued -= UInt64(records.count)
        lane.ledger.inFlight += UInt64(records.count)
        return Batch(records, lane: lane, isCarriedOver: false)
    }

    /// The batch's message was queued on the stream and ends at `offset`, in bytes of the stream.
    public func sent(_ batch: Batch, end offset: UInt64) {
        precondition(inFlight.last.map { $0.end <= offset } ?? true, "stream offsets only grow")
        if batch.wasSent { batch.lane.ledger.resent += UInt64(batch.records.count) }
        batch.wasSent = true
        inFlight.append((batch, offset))
    }

    /// Everything in flight that ends at or before `offset` has arrived: it is freed.
    public func confirm(upTo offset: UInt64) {
        while inFlightHead < inFlight.count, inFlight[inFlightHead].end <= offset {
            let batch = inFlight[inFlightHead].batch
            let count = UInt64(batch.records.count)
            batch.lane.ledger.inFlight -= count
            batch.lane.ledger.confirmed += count
            inFlightHead += 1
        }
        guard inFlightHead > 0 else { return }
        inFlight.removeSubrange(..<inFlightHead)
        inFlightHead = 0
        removeRetired()
    }

    /// The stream is gone: what was in flight goes back to its lanes, in order, and is sent again on the next one.
    /// `unsent` are batches taken by `next` that never became part of the stream.
    public func streamLost(unsent: [Batch] = []) {
        let batches = inFlight[inFlightHead...].map(\.batch) + unsent
        inFlight.removeAll(keepingCapacity: true)
        inFlightHead = 0
        var byLane: [(lane: Lane, batches: [Batch])] = []
        for batch in batches {
            let count = UInt64(batch.records.count)
            batch.lane.ledger.inFlight -= count
            guard batch.isCarriedOver else {
                batch.lane.ledger.dropped[.superseded, default: 0] += count
                continue
            }
            batch.lane.ledger.queued += count
            if let index = byLane.firstIndex(where: { $0.lane === batch.lane }) {
                byLane[index].batches.append(batch)
            } else {
                byLane.append((batch.lane, [batch]))
            }
        }
        for entry in byLane {
            entry.lane.putBack(entry.batches)
            activate(entry.lane)
        }
        dropVolatile()
        removeRetired()
    }

    /// Queued batches that were made for the lost connection go with it.
    private func dropVolatile() {
        for lane in lanes where !lane.isEmpty {
            lane.removeAll { batch in
                guard !batch.isCarriedOver else { return false }
                let count = UInt64(batch.records.count)
                lane.ledger.queued -= count
                lane.ledger.dropped[.superseded, default: 0] += count
                return true
            }
        }
    }

    /// Gives up everything, counted: the agent ends and there is no place to keep it.
    public func dropAll(_ reason: DropReason) {
        streamLost()
        for lane in lanes {
            lane.removeAll { _ in true }
            guard lane.ledger.queued > 0 else { continue }
            lane.ledger.dropped[reason, default: 0] += lane.ledger.queued
            lane.ledger.queued = 0
        }
        removeRetired()
    }
}

/// Lanes that have something to send, in the order of service.
private struct ServiceOrder {
    private var lanes: ContiguousArray<Lane> = []

    var isEmpty: Bool { lanes.allSatisfy(\.isEmpty) }

    mutating func append(_ lane: Lane) { lanes.append(lane) }

    /// The lane in front sends while its deficit lasts; then the next one gets its quantum.
    mutating func next(quantum: Int) -> Batch? {
        while let lane = lanes.first {
            guard let size = lane.firstSize else {
                lane.isActive = false
                lanes.removeFirst()
                continue
            }
            if lane.deficit >= size {
                lane.deficit -= size
                return lane.popFirst()
            }
            lane.deficit += quantum
            if lanes.count > 1 {
                lanes.removeFirst()
                lanes.append(lane)
            }
        }
        return nil
    }
}
