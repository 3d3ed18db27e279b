// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
public import Spool

/// The way of one plugin's pipe, or of the agent itself, to the server: strictly first in, first out.
///
/// ```
/// in flight | front (memory) | cold (disk only) | fresh (memory)   ◀── new batches
/// ```
/// What is on the disk is a run of places, `disk`; in it lie `cold`, and copies of batches that are in memory as well.
/// Without `cold` there is no `fresh`: new batches join `front`.
public final class Lane {
    /// Urgent lanes (the agent's, and high-priority pipes) are served before all others.
    public enum Priority: Sendable { case urgent, normal }

    public let name: String
    public let priority: Priority
    public internal(set) var ledger = Ledger()
    var front = BatchQueue()
    var fresh = BatchQueue()
    /// Batches in memory, in flight too, that the disk has not got, the oldest first. The disk gets them in this order.
    var unwritten = BatchQueue()
    /// Places on the disk that are not confirmed.
    var disk = PlaceRange()
    /// Those of them that are not in memory.
    var cold = PlaceRange()
    /// Cold batches before this one were part of a message once.
    var sentThrough: UInt64 = 0
    /// Bytes that were read back from the disk, and are in memory.
    var replayedBytes = 0
    /// The disk was asked to write some of its batches, and has not answered.
    var isBeingWritten = false
    /// Some of them may be on the disk though it did not say so: a final advance makes certain that they are not.
    var mayHaveLeftovers = false
    /// Counts the times that writing to the disk has failed.
    var attempt: UInt32 = 0
    /// Of the lane's files.
    public internal(set) var diskBytes = 0
    /// The disk was told that batches before this place are confirmed.
    var toldFirst = SpoolPosition.zero
    /// When it may be told the next time.
    var tellAt = MonotonicTime(nanoseconds: 0)
    /// Bytes that this lane may send before it is another lane's turn.
    var deficit = 0
    var isActive = false
    var isRetired = false

    init(name: String, priority: Priority) {
        self.name = name
        self.priority = priority
    }

    /// Has it nothing in memory that could be sent?
    public var isEmpty: Bool { front.isEmpty }
    public var queuedBatches: Int { front.count + fresh.count }
    public var hasBacklog: Bool { !cold.isEmpty }
    public var spoolLane: SpoolLane { SpoolLane(name: name, isUrgent: priority == .urgent) }

    func append(_ batch: Batch) {
        if cold.isEmpty { front.append(batch) } else { fresh.append(batch) }
        if batch.isCarriedOver { unwritten.append(batch) }
    }

    /// The batch is confirmed or given up. Within a lane that happens in order, but for late ones.
    func settle(_ batch: Batch) {
        batch.isDone = true
        while unwritten.first?.isDone == true { unwritten.popFirst() }
        if batch.isReplayed { replayedBytes -= batch.byteCount }
        if let end = batch.end, !batch.isLate { disk.first = max(disk.first, end) }
        forgetWhatIsDone()
    }

    /// When nothing of what is on the disk waits or is in flight, damaged places at its end must not stay.
    func forgetWhatIsDone() {
        guard cold.isEmpty && ledger.spooled == 0 && ledger.inFlight == 0 else { return }
        disk.first = max(disk.first, disk.end)
    }

    /// The last of `cold` was read or given up: what came after it is next.
    func coldChanged() {
        guard cold.isEmpty else { return }
        while let batch = fresh.popFirst() { front.append(batch) }
    }

    /// May it be forgotten, its producer having ended?
    var isSettled: Bool {
        ledger.waiting == 0 && diskBytes == 0 && front.isEmpty && fresh.isEmpty && !isBeingWritten && !mayHaveLeftovers
    }

    /// Takes batches back that were in flight, in their order; late ones come behind what is on the disk.
    func takeBack(_ batches: [Batch]) {
        let late = batches.filter(\.isLate)
        let others = batches.filter { !$0.isLate }
        guard !late.isEmpty else { return front.putBack(others) }
        for batch in late { batch.isLate = false }
        unwritten.putBack(late)
        if cold.isEmpty {
            let waiting = front.all
            let spooled = waiting.prefix(while: \.isSpooled)
            front.removeAll { _ in true }
            for batch in others + spooled + late + waiting.dropFirst(spooled.count) { front.append(batch) }
        } else {
            front.putBack(others)
            fresh.putBack(late)
        }
    }

    /// A backlog has become known: what was queued before comes behind it, and what is on its way is late. Unless it is
    /// lost it needs no place on the disk.
    func giveWay(onTheirWay: [Batch]) {
        let waiting = front.all
        front.removeAll { $0.isCarriedOver }
        for batch in waiting where batch.isCarriedOver { fresh.append(batch) }
        for batch in onTheirWay { batch.isLate = true }
        unwritten.removeAll(where: \.isLate)
    }
}

/// Places from `first` to `end`, which does not belong to it.
struct PlaceRange: Equatable {
    var first = SpoolPosition.zero
    var end = SpoolPosition.zero

    var isEmpty: Bool { first >= end }
}
