// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import ElkeidWire

/// The unit that is queued, sent, kept and resent: spliced records of one lane. It has no message header, prefix or
/// compression; those are made at each sending.
public final class Batch {
    public let lane: Lane
    public let records: RecordBatch
    /// Has it been part of a message on a connection that broke?
    public internal(set) var wasSent = false
    /// May it be sent on another connection than the one it was made for? Heartbeats may not.
    public let isCarriedOver: Bool

    init(_ records: RecordBatch, lane: Lane, isCarriedOver: Bool) {
        self.lane = lane
        self.records = records
        self.isCarriedOver = isCarriedOver
    }

    /// Bytes of its records as they are sent.
    public var byteCount: Int { records.bytes.count }
}

/// The way of one plugin's pipe, or of the agent itself, to the server: strictly first in, first out.
public final class Lane {
    /// Urgent lanes (the agent's, and high-priority pipes) are served before all others.
    public enum Priority: Sendable { case urgent, normal }

    public let name: String
    public let priority: Priority
    public internal(set) var ledger = Ledger()
    /// Places before `head` are empty: a batch kept behind would keep whole slabs alive.
    private var queue: ContiguousArray<Batch?> = []
    private var head = 0
    /// Bytes that this lane may send before it is another lane's turn.
    var deficit = 0
    var isActive = false
    var isRetired = false

    init(name: String, priority: Priority) {
        self.name = name
        self.priority = priority
    }

    public var isEmpty: Bool { head == queue.count }
    public var queuedBatches: Int { queue.count - head }

    func append(_ batch: Batch) { queue.append(batch) }

    func popFirst() -> Batch? {
        guard head < queue.count, let batch = queue[head] else { return nil }
        queue[head] = nil
        head += 1
        // Moving what is left costs each batch little when half of the places are empty.
        if head == queue.count || head >= 32 && head * 2 >= queue.count { compact() }
        return batch
    }

    /// Size of the batch in front.
    var firstSize: Int? { head < queue.count ? queue[head]?.byteCount : nil }

    func removeAll(where condition: (Batch) -> Bool) {
        compact()
        queue.removeAll { $0.map(condition) ?? true }
    }

    /// Puts batches back in front, in their order.
    func putBack(_ batches: [Batch]) {
        compact()
        queue.insert(contentsOf: batches.map { $0 }, at: 0)
    }

    private func compact() {
        queue.removeSubrange(..<head)
        head = 0
    }
}
