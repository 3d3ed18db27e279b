// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import Reactor
import Spool
import SpoolSupport
import Testing

/// A day without a server at 1,000 records a second: memory and disk stay within their bounds, what had to go is
/// counted, and what is left is delivered in order.
@Suite("A long outage")
struct LongOutageTests {
    private static let day = 86_400
    /// Seconds between two batches of a lane.
    private static let pause = 10
    private static let laneCount = 4

    @Test func aDay() throws {
        var policy = SpoolPolicy()
        policy.disk = 16 << 20
        var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        let disk = MemoryDisk()
        let store = try SpoolStore(disk: disk, segmentSize: policy.segmentSize) { 0 }
        let agent = SimulatedAgent(laneCount: Self.laneCount, policy: policy, books: Ledger(), at: now)
        let spooler = agent.spooler
        func pump() {
            while let request = spooler.next(at: now) { spooler.completed(store.perform(request), at: now) }
        }
        pump()
        var numbers = 0
        var (peakMemory, peakDisk) = (0, 0)
        for second in 0..<Self.day {
            now = now + .seconds(1)
            if second % Self.pause == 0 {
                for lane in 0..<Self.laneCount {
                    let records = UInt64(1000 * Self.pause / Self.laneCount)
                    agent.produce(Cargo(lane: lane, number: numbers, records: records), size: 2048, at: now)
                }
                numbers += 1
            }
            pump()
            peakMemory = max(peakMemory, agent.pool.outstandingBytes)
            peakDisk = max(peakDisk, disk.bytes)
        }
        #expect(peakMemory <= SimulatedAgent.memory, "memory")
        #expect(peakDisk <= policy.disk + 64 << 10, "cursors are not counted")
        let ledger = agent.outbox.ledger
        #expect(ledger.isBalanced && ledger.received == 86_400_000, "\(ledger)")
        let given = ledger.dropped[.spoolFull, default: 0]
        #expect(given > 0 && ledger.dropped.count == 1, "\(ledger)")
        #expect(ledger.waiting == ledger.received - given)

        // The server is back.
        spooler.connected()
        var books = ServerBooks()
        while agent.outbox.ledger.waiting > 0 {
            now = now + .milliseconds(100)
            pump()
            var offset: UInt64 = 0
            while let batch = agent.outbox.next() {
                books.handle(SimulatedAgent.cargo(of: batch))
                offset += 1
                agent.outbox.sent(batch, end: offset)
            }
            agent.outbox.confirm(upTo: offset)
            #expect(agent.pool.outstandingBytes <= SimulatedAgent.memory + Self.laneCount * 2 * policy.piece)
        }
        #expect(books.records == ledger.waiting && books.reordered == 0 && books.duplicates == 0)
        #expect(agent.outbox.ledger.confirmed == ledger.waiting && agent.outbox.ledger.dropped == ledger.dropped)
        print(
            "a day: \(given) of \(ledger.received) records given up, \(peakMemory >> 10) KiB, \(peakDisk >> 10) KiB disk"
        )
    }
}
