// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import Plugins
import Reactor
import Spool
import TestSupport
import Testing

@Suite("Intake: pipes that wait for room in the queue")
struct IntakeTests {
    /// Far more than pipe and queue hold.
    static let flood = (count: 4000, size: 2000)

    @Test func stopsReadingWhenTheQueueHasEnough() throws {
        let rig = try IntakeRig()
        rig.spooler.connected()
        let plugin = try rig.add("a")
        plugin.write(Self.flood.count, size: Self.flood.size)
        try rig.settle()
        #expect(plugin.lane.memoryBytes >= IntakeRig.enough)
        #expect(plugin.lane.memoryBytes <= IntakeRig.enough + IntakeRig.turn + (64 << 10))
        #expect(plugin.waitingBytes > 0, "the pipe holds the plugin back")
        // Nothing but room brings it to go on.
        let before = plugin.bytesRead
        rig.intake.memoryReleased()
        try rig.settle()
        #expect(plugin.bytesRead == before && rig.outbox.hasEnough(plugin.lane))
    }

    /// Each batch that is taken makes room, confirmed or not; all arrives, once and in order.
    @Test func goesOnWhenABatchIsTaken() throws {
        let rig = try IntakeRig()
        rig.spooler.connected()
        let plugin = try rig.add("a")
        plugin.write(Self.flood.count, size: Self.flood.size)
        try rig.settle()
        let before = plugin.bytesRead
        while rig.outbox.hasEnough(plugin.lane) { try rig.send() }
        try rig.settle()
        #expect(plugin.bytesRead > before && rig.outbox.hasEnough(plugin.lane))
        while try rig.send() != nil { try rig.settle() }
        #expect(rig.isComplete(plugin) && plugin.accepted == Self.flood.count)
    }

    /// Without a server memory is filled: nobody knows when there will be one.
    @Test func goesOnWhenTheServerIsLost() throws {
        let rig = try IntakeRig()
        rig.spooler.connected()
        let plugin = try rig.add("a")
        plugin.write(Self.flood.count, size: Self.flood.size)
        try rig.settle()
        #expect(plugin.accepted < Self.flood.count)
        rig.spooler.disconnected()
        try rig.settle()
        #expect(plugin.accepted == Self.flood.count && plugin.waitingBytes == 0)
    }

    /// One floods, one trickles: both are read. A lane that has nothing in the queue is not held back by what others have
    /// there, one that has waits for its turn, which comes before all of the other's.
    @Test(arguments: [Lane.Priority.normal, .urgent])
    func aFloodDoesNotStarveATrickle(priority: Lane.Priority) throws {
        let rig = try IntakeRig()
        rig.spooler.connected()
        let flood = try rig.add("flood")
        let trickle = try rig.add("trickle", priority: priority)
        flood.write(Self.flood.count, size: Self.flood.size)
        try rig.settle()
        #expect(rig.outbox.hasEnough(flood.lane))
        for round in 0..<20 {
            #expect(rig.outbox.hasEnough(flood.lane) && trickle.lane.isEmpty)
            trickle.write(1, size: 100)
            try rig.settle()
            #expect(trickle.accepted == 2 * round + 1, "it has nothing in the queue")
            trickle.write(1, size: 100)
            try rig.settle()
            #expect(trickle.accepted == 2 * round + 1, "it has")
            for record in 1...2 {
                let before = rig.sentBytes["flood"] ?? 0
                while !trickle.lane.isEmpty { try rig.send() }
                // Its turn comes within two of the other's: one that has begun, and one.
                #expect((rig.sentBytes["flood"] ?? 0) - before <= 2 * (64 << 10), "record \(record)")
                rig.confirm()
                try rig.settle()
                #expect(trickle.accepted == 2 * round + 2)
            }
        }
        try rig.sendAll()
        #expect(rig.isComplete(flood) && rig.isComplete(trickle))
    }

    /// Several that flood share the connection, and none waits for the end of another.
    @Test func floodsShareTheConnection() throws {
        let rig = try IntakeRig()
        rig.spooler.connected()
        let plugins = try (0..<3).map { try rig.add("\($0)") }
        for plugin in plugins { plugin.write(Self.flood.count, size: Self.flood.size) }
        try rig.settle()
        for _ in 0..<300 {
            try rig.send()
            rig.confirm()
            try rig.settle()
        }
        let sent = plugins.map { rig.sentBytes[$0.lane.name] ?? 0 }
        let (least, most) = (try #require(sent.min()), try #require(sent.max()))
        #expect(most - least <= 3 * (64 << 10), "\(sent)")
        try rig.sendAll()
        #expect(plugins.allSatisfy { rig.isComplete($0) })
    }

    // MARK: Ends

    /// A plugin's end does not wait for a server: what its pipe holds is read, room or not.
    @Test(arguments: [true, false])
    func drainsAPipeThatWaits(closing: Bool) throws {
        let rig = try IntakeRig()
        rig.spooler.connected()
        let plugin = try rig.add("a")
        plugin.write(Self.flood.count, size: Self.flood.size)
        try rig.settle()
        let written = Self.flood.count * (Self.flood.size + 4) - plugin.waitingBytes
        #expect(plugin.bytesRead < written)
        plugin.ends(closing: closing)
        for _ in 0..<50 where !plugin.isDrained { try rig.reactor.turn(wait: false) }
        #expect(plugin.isDrained && plugin.bytesRead == written)
        // It is not among those that wait any more.
        while try rig.send() != nil { try rig.reactor.turn(wait: false) }
        #expect(rig.sent["a"]?.count == plugin.accepted && plugin.bytesRead == written)
    }

    // MARK: Memory

    /// Taken batches make room in the queue, and none in memory: that comes with their confirmation.
    @Test func memoryIsWaitedForToo() throws {
        let rig = try IntakeRig(memory: 1 << 20)
        rig.spooler.connected()
        let plugin = try rig.add("a")
        plugin.write(Self.flood.count, size: Self.flood.size)
        try rig.settle()
        while try rig.send() != nil { try rig.settle() }
        #expect(plugin.accepted < Self.flood.count && rig.intake.isShortOfMemory)
        #expect(rig.pool.outstandingBytes <= 1 << 20)
        rig.confirm()
        try rig.settle()
        #expect(rig.outbox.hasEnough(plugin.lane) && !rig.intake.isShortOfMemory)
        try rig.sendAll()
        #expect(rig.isComplete(plugin))
    }
}
