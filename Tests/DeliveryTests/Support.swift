// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import TestSupport

/// Makes batches that can be told apart.
final class Factory {
    let pool = SlabPool(slabSize: 8192)
    private(set) var made = 0

    /// A batch of `records` records and `size` bytes (at least 4), in a slab of its own.
    func batch(records: Int = 1, size: Int = 100) -> RecordBatch {
        made += 1
        var bytes = [UInt8](repeating: 0xaa, count: size)
        for index in 0..<4 { bytes[index] = UInt8(truncatingIfNeeded: made >> (8 * index)) }
        var chain = BufferChain()
        let arena = Arena(pool: pool)
        bytes.withBytes { arena.append($0, to: &chain) }
        return RecordBatch(encoded: chain, count: records)
    }
}

extension Batch {
    /// Which of the factory's batches it is: 1, 2, …
    var number: Int { records.bytes.toArray().prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) } }
}

extension Outbox {
    /// Takes and sends the next batch; its message adds its size to the stream.
    @discardableResult
    func sendNext(at offset: inout UInt64) -> Batch? {
        guard let batch = next() else { return nil }
        offset += UInt64(batch.byteCount)
        sent(batch, end: offset)
        return batch
    }

    /// Sends everything and says what that was.
    func sendAll() -> [Int] {
        var offset: UInt64 = 0
        var numbers: [Int] = []
        while let batch = sendNext(at: &offset) { numbers.append(batch.number) }
        return numbers
    }
}

extension Ledger {
    /// The states as text: easy to compare in a test.
    var text: String {
        var parts = ["received \(received)"]
        for (name, value) in [
            ("malformed", malformed), ("queued", queued), ("inFlight", inFlight), ("spooled", spooled),
            ("confirmed", confirmed), ("resent", resent),
        ] where value > 0 { parts.append("\(name) \(value)") }
        for reason in DropReason.allCases {
            if let value = dropped[reason], value > 0 { parts.append("\(reason) \(value)") }
        }
        return parts.joined(separator: ", ")
    }
}
