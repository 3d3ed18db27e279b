// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import Plugins
import Reactor
import Syscalls
import TestSupport

/// A plugin at the other end of a pipe: it writes records whose timestamps count from 0, and never waits.
final class TestPlugin: RecordPipeOwner {
    let lane: Lane
    private(set) var pipe: RecordPipe?
    private var end: FileDescriptor?
    /// What the pipe has not taken yet.
    private var waiting: ArraySlice<UInt8> = []
    private(set) var written = 0
    private(set) var isDrained = false

    init(_ name: String, priority: Lane.Priority = .normal, intake: Intake, outbox: Outbox) throws {
        lane = outbox.addLane(name: name, priority: priority)
        var ends = try Pipe(nonBlockingRead: true, nonBlockingWrite: true)
        end = try take(&ends.write)
        pipe = RecordPipe(try take(&ends.read), intake: intake, lane: lane, owner: self)
    }

    var bytesRead: Int { Int(pipe?.bytesRead ?? 0) }
    var accepted: Int { Int(pipe?.accepted ?? 0) }
    /// Bytes that the plugin still has to write.
    var waitingBytes: Int { waiting.count }

    /// Records of `size` bytes each, 20 or more.
    func write(_ count: Int, size: Int) {
        for _ in 0..<count {
            var record: [UInt8] = [0x08, 0x01, 0x10]
            record += (0..<5).map { UInt8(written >> (7 * $0) & 0x7f) | ($0 < 4 ? 0x80 : 0) }
            let payload = size - record.count - 4
            record += [0x1a, UInt8(payload & 0x7f | 0x80), UInt8(payload >> 7 & 0x7f | 0x80), UInt8(payload >> 14)]
            record += [UInt8](repeating: 0x5a, count: payload)
            waiting += (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) }
            waiting += record
            written += 1
        }
        push()
    }

    /// Writes what the pipe takes. Did it take any?
    @discardableResult
    func push() -> Bool {
        guard !waiting.isEmpty, let raw = end?.rawValue else { return false }
        let descriptor = FileDescriptor(owning: raw)
        let result = unsafe descriptor.write(waiting.span.bytes)
        _ = descriptor.release()
        guard case .bytes(let count) = result else { return false }
        waiting = waiting.dropFirst(count)
        return true
    }

    /// The plugin's process has ended; others may still have the pipe.
    func ends(closing: Bool) {
        if closing { end = nil }
        pipe?.drain()
    }

    func leftOut(_ count: UInt64, last reason: MalformedRecord, by pipe: RecordPipe) {}
    func streamLost(_ error: StreamLost, by pipe: RecordPipe) {}
    func drained(_ pipe: RecordPipe) { isDrained = true }
}

/// Pipes, an outbox, and no server but what the test does with `outbox.next()`.
final class IntakeRig {
    /// Bytes that wait, beyond which a lane gets no more; and what one turn of reading may add to them.
    static let (enough, turn) = (256 << 10, 256 << 10)

    let reactor: Reactor
    let outbox = Outbox(quantum: 64 << 10)
    let pool: SlabPool
    let spooler: Spooler
    let intake: Intake
    private(set) var plugins: [TestPlugin] = []
    /// Timestamps of what was sent, lane by lane, in order.
    private(set) var sent: [String: [Int]] = [:]
    private(set) var sentBytes: [String: Int] = [:]
    private var offset: UInt64 = 0

    init(memory: Int = .max) throws {
        reactor = try Reactor()
        pool = SlabPool(slabSize: 64 << 10, limit: memory)
        spooler = Spooler(outbox: outbox, pool: pool, policy: SpoolPolicy())
        // Without lingering no timer runs: what a turn does depends on nothing but what is in the pipes.
        intake = Intake(pool: pool, outbox: outbox, reactor: reactor, linger: .zero, messageSize: 32 << 10) {}
    }

    // Lanes and the batches in them hold one another.
    deinit { outbox.dropAll(.stopped) }

    func add(_ name: String, priority: Lane.Priority = .normal) throws -> TestPlugin {
        let plugin = try TestPlugin(name, priority: priority, intake: intake, outbox: outbox)
        plugins.append(plugin)
        return plugin
    }

    /// Turns until plugins write nothing any more and nothing is read.
    func settle() throws {
        var before = -1
        var isMoving = true
        while isMoving {
            for _ in 0..<4 { try reactor.turn(wait: false) }
            let read = plugins.reduce(0) { $0 + $1.bytesRead }
            isMoving = read != before
            before = read
            for plugin in plugins where plugin.push() { isMoving = true }
        }
    }

    /// Sends the next batch.
    @discardableResult
    func send() throws -> Batch? {
        guard let batch = outbox.next() else { return nil }
        offset += UInt64(batch.byteCount)
        outbox.sent(batch, end: offset)
        let message = try PackagedData(decoding: batch.records.bytes.toArray())
        sent[batch.lane.name, default: []] += message.records.map { Int($0.timestamp) }
        sentBytes[batch.lane.name, default: 0] += batch.byteCount
        return batch
    }

    /// All that was sent has arrived.
    func confirm() {
        outbox.confirm(upTo: offset)
        intake.memoryReleased()
    }

    /// Sends and confirms until there is nothing left.
    func sendAll() throws {
        try settle()
        while try send() != nil {
            confirm()
            try settle()
        }
    }

    /// Did all that the plugin wrote arrive, once and in order?
    func isComplete(_ plugin: TestPlugin) -> Bool { sent[plugin.lane.name] ?? [] == [Int](0..<plugin.written) }
}
