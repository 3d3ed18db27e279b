// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import Reactor
import Spool

/// What an agent has in memory: it is gone when the agent is killed. The cores are the real ones; what drives them here
/// is in the agent `TransferClient` and `SpoolDriver`.
final class SimulatedAgent {
    static let slabSize = 16 << 10
    static let memory = 1 << 20
    /// Of what may be unconfirmed in any case.
    static let unconfirmed = 128 << 10
    static let patience = TimeSpan.seconds(45)

    enum Link: Equatable {
        case down(until: MonotonicTime)
        /// The call was made then; records wait for its acceptance.
        case opening(MonotonicTime)
        case running
    }

    let pool = SlabPool(slabSize: SimulatedAgent.slabSize, limit: SimulatedAgent.memory)
    let outbox = Outbox(quantum: 16 << 10)
    let spooler: Spooler
    let lanes: [Lane]
    private let own: Lane
    private let arena: Arena
    /// When each batch that is not confirmed was made.
    var made: [Cargo: MonotonicTime] = [:]
    var link: Link
    var confirmation = Confirmation()
    /// Batches on the stream that are not confirmed, with their ends, as the test keeps its own books.
    var sent: [(cargo: Cargo, end: UInt64)] = []
    var offset: UInt64 = 0
    var lastHeard: MonotonicTime
    var pings: UInt64 = 0
    var nextHeartbeat: MonotonicTime
    /// What the disk is asked, and when it will have done it.
    var question: (request: SpoolRequest, done: MonotonicTime)?

    init(laneCount: Int, policy: SpoolPolicy, books: Ledger, at now: MonotonicTime) {
        arena = Arena(pool: pool)
        spooler = Spooler(outbox: outbox, pool: pool, policy: policy)
        own = outbox.addLane(name: "agent", priority: .urgent)
        let outbox = self.outbox
        lanes = (0..<laneCount).map { outbox.addLane(name: "lane \($0)", priority: $0 == 0 ? .urgent : .normal) }
        link = .down(until: now + .milliseconds(200))
        lastHeard = now
        nextHeartbeat = now + .seconds(60)
    }

    // Lanes and the batches in them hold one another.
    deinit { outbox.dropAll(.stopped) }

    /// Is there room for more records? Otherwise the plugins wait.
    var hasRoom: Bool { pool.headroom >= 2 * Self.slabSize }

    func produce(_ cargo: Cargo, size: Int, at now: MonotonicTime) {
        made[cargo] = now
        outbox.enqueueOwn(encode(cargo, size: size), on: lanes[cargo.lane], at: now)
    }

    func heartbeat(at now: MonotonicTime) {
        outbox.enqueueOwn(encode(heartbeatCargo, size: 200), on: own, isCarriedOver: false, at: now)
    }

    func firstMessage(at now: MonotonicTime) -> Batch {
        outbox.begin(encode(heartbeatCargo, size: 200), on: own, at: now)
    }

    private var heartbeatCargo: Cargo { Cargo(lane: Cargo.heartbeatLane, number: 0, records: 1) }

    private func encode(_ cargo: Cargo, size: Int) -> RecordBatch {
        var bytes = [UInt8](repeating: 0x55, count: max(24, size))
        for (index, value) in [cargo.lane, cargo.number, Int(cargo.records)].enumerated() {
            for byte in 0..<8 { bytes[8 * index + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
        }
        var chain = BufferChain()
        unsafe arena.append(bytes.span.bytes, to: &chain)
        return RecordBatch(encoded: chain, count: Int(cargo.records))
    }

    static func cargo(of batch: Batch) -> Cargo {
        let bytes = batch.records.bytes.toArray()
        let values = (0..<3).map { field in
            (0..<8).reduce(0) { $0 | Int(bytes[8 * field + $1]) << (8 * $1) }
        }
        return Cargo(lane: values[0], number: values[1], records: UInt64(values[2]))
    }
}
