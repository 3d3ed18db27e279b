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
    var queue: ContiguousArray<Batch> = []
    var head = 0
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
        guard head < queue.count else { return nil }
        let batch = queue[head]
        head += 1
        if head == queue.count {
            queue.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 64 {
            queue.removeSubrange(..<head)
            head = 0
        }
        return batch
    }

    /// Size of the batch in front.
    var firstSize: Int? { head < queue.count ? queue[head].byteCount : nil }

    func removeAll(where condition: (Batch) -> Bool) {
        queue.removeSubrange(..<head)
        head = 0
        queue.removeAll(where: condition)
    }

    /// Puts batches back in front, in their order.
    func putBack(_ batches: [Batch]) {
        queue.replaceSubrange(..<head, with: batches)
        head = 0
    }
}
