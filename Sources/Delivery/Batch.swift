// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import ElkeidWire
public import Reactor
import Spool

/// The unit that is queued, sent, kept, resent and spooled: spliced records of one lane. It has no message header,
/// prefix or compression; those are made at each sending.
public final class Batch {
    public let lane: Lane
    public let records: RecordBatch
    public let queuedAt: MonotonicTime
    /// May it be sent on another connection than the one it was made for? Heartbeats may not.
    public let isCarriedOver: Bool
    /// Has it been part of a message on a connection that broke?
    public internal(set) var wasSent = false
    /// Its place on the disk, from when the disk was asked to write it.
    var place: SpoolPosition?
    /// Has the disk said that it is there?
    var isWritten = false
    var isInFlight = false
    /// Was it on its way when it became known that the disk has what came before it?
    var isLate = false
    /// Was it read back from the disk?
    var isReplayed = false
    /// Confirmed or given up: it is in no state any more.
    var isDone = false

    init(_ records: RecordBatch, lane: Lane, at time: MonotonicTime, isCarriedOver: Bool) {
        self.lane = lane
        self.records = records
        self.isCarriedOver = isCarriedOver
        queuedAt = time
    }

    /// Bytes of its records as they are sent.
    public var byteCount: Int { records.bytes.count }

    var count: UInt64 { UInt64(records.count) }

    /// The place behind it.
    var end: SpoolPosition? {
        place.map { SpoolPosition(sequence: $0.sequence + 1, record: $0.record + count) }
    }

    /// Is it on the disk, and not given up there?
    var isSpooled: Bool {
        guard isWritten, let place else { return false }
        return place >= lane.disk.first
    }
}

/// Batches in order. Places before `head` are empty: a batch kept behind would keep whole slabs alive.
struct BatchQueue {
    private var batches: ContiguousArray<Batch?> = []
    private var head = 0
    private(set) var bytes = 0

    var isEmpty: Bool { head == batches.count }
    var count: Int { batches.count - head }
    var first: Batch? { head < batches.count ? batches[head] : nil }
    var last: Batch? { head < batches.count ? batches[batches.count - 1] : nil }
    /// From the oldest to the newest.
    var all: [Batch] { batches[head...].compactMap { $0 } }

    subscript(index: Int) -> Batch? { head + index < batches.count ? batches[head + index] : nil }

    mutating func append(_ batch: Batch) {
        bytes += batch.byteCount
        batches.append(batch)
    }

    @discardableResult
    mutating func popFirst() -> Batch? {
        guard head < batches.count, let batch = batches[head] else { return nil }
        batches[head] = nil
        head += 1
        bytes -= batch.byteCount
        // Moving what is left costs each batch little when half of the places are empty.
        if head == batches.count || head >= 32 && head * 2 >= batches.count { compact() }
        return batch
    }

    mutating func popLast() -> Batch? {
        guard head < batches.count, let batch = batches.removeLast() else { return nil }
        bytes -= batch.byteCount
        return batch
    }

    mutating func removeAll(where condition: (Batch) -> Bool) {
        compact()
        batches.removeAll { batch in
            guard let batch, condition(batch) else { return batch == nil }
            bytes -= batch.byteCount
            return true
        }
    }

    /// Puts batches back in front, in their order.
    mutating func putBack(_ earlier: [Batch]) {
        compact()
        batches.insert(contentsOf: earlier.map { $0 }, at: 0)
        bytes += earlier.reduce(0) { $0 + $1.byteCount }
    }

    private mutating func compact() {
        batches.removeSubrange(..<head)
        head = 0
    }
}
