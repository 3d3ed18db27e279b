// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Syscalls
import TestSupport
import Testing

@Suite("Reactor: sources")
struct SourceTests {
    let reactor: Reactor

    init() throws {
        reactor = try Reactor()
    }

    /// A descriptor like `raw` at a number that nothing else in the program uses, so that it can be freed and taken
    /// again without another thread coming in between.
    func numbered(_ raw: CInt, _ number: CInt) throws -> FileDescriptor {
        let copy = fcntl(raw, F_DUPFD_CLOEXEC, number)
        try #require(copy == number)
        return FileDescriptor(owning: copy)
    }

    /// Two readable pipes in one turn. The handler that comes first closes the other one and opens a descriptor with
    /// the same number, which even gets the same place in the reactor: the event under way is not delivered to it.
    @Test(arguments: [false, true], [700, 710] as [CInt])
    func staleEventNeverReachesAReusedDescriptor(readable: Bool, number: CInt) throws {
        let base = number + (readable ? 5 : 0)
        var first = try Pipe()
        var second = try Pipe()
        var third = try Pipe()
        let writes = (
            try take(&first.write).release(), try take(&second.write).release(), try take(&third.write).release()
        )
        defer { for raw in [writes.0, writes.1, writes.2] { _ = FileDescriptor(owning: raw) } }
        let reads = [try take(&first.read).release(), try take(&second.read).release()]
        let newRead = try take(&third.read)
        for raw in [writes.0, writes.1] { #expect(poke(raw)) }
        if readable { #expect(poke(writes.2)) }

        let newcomer = Handler()
        var newSource: Source?
        var sources: [Source] = []
        var calls = 0
        let replace = Handler { source in
            calls += 1
            guard let other = sources.first(where: { $0 !== source }), other.isOpen else { return }
            let raw = other.withDescriptor { $0.rawValue }
            other.close()
            if let reused = try? self.numbered(newRead.rawValue, raw) {
                newSource = self.reactor.watch(reused, for: .read, handler: newcomer)
            }
            source.discard(10)
        }
        for (index, raw) in reads.enumerated() {
            sources.append(reactor.watch(try numbered(raw, base + CInt(index)), for: .read, handler: replace))
            _ = FileDescriptor(owning: raw)
        }
        try reactor.turn(wait: true)
        #expect(calls == 1 && newSource?.isOpen == true)
        #expect(newcomer.events == [] && reactor.statistics.staleEvents == 1)

        // Its own event it gets, once it has one.
        if !readable { #expect(poke(writes.2)) }
        try reactor.turn(wait: true)
        #expect(newcomer.events == [.readable] && reactor.statistics.staleEvents == 1)
        for source in sources { source.close() }
        newSource?.close()
        #expect(reactor.sourceCount == 0)
    }

    /// A source may close itself and every other one, and none of them is called afterwards.
    @Test func closingAllWithinAnEvent() throws {
        var sources: [Source] = []
        var writers: [CInt] = []
        defer { for raw in writers { _ = FileDescriptor(owning: raw) } }
        let handler = Handler { _ in for source in sources { source.close() } }
        for _ in 0..<5 {
            var pipe = try Pipe()
            let writer = try take(&pipe.write)
            #expect(writer.put(1) == .bytes(1))
            writers.append(writer.release())
            sources.append(reactor.watch(try take(&pipe.read), for: .read, handler: handler))
        }
        #expect(reactor.sourceCount == 5)
        try reactor.turn(wait: true)
        #expect(handler.events.count == 1 && reactor.statistics.staleEvents == 4)
        #expect(reactor.sourceCount == 0 && sources.allSatisfy { !$0.isOpen })
        try reactor.turn(wait: false)
        #expect(reactor.statistics.events == 5)
    }

    /// Neither data nor the end of its writer wakes the loop for a paused source.
    @Test func pausedSourceCausesNoWakeup() throws {
        var pipe = try Pipe()
        let writer = try take(&pipe.write)
        let handler = Handler()
        let source = reactor.watch(try take(&pipe.read), for: .read, handler: handler)
        #expect(writer.put(10) == .bytes(10))
        try reactor.turn(wait: true)
        #expect(handler.events == [.readable])
        source.wait(for: [])
        let before = reactor.statistics
        try reactor.turn(wait: false)
        try writer.close()
        try reactor.turn(wait: false)
        // What would wake the loop would do so before the timer does.
        var fired = false
        let timer = reactor.makeTimer { fired = true }
        timer.arm(after: .milliseconds(20))
        try reactor.turn(wait: true)
        #expect(fired && handler.events.count == 1)
        #expect(reactor.statistics.wakeups == before.wakeups + 1, "by the timer")
        #expect(reactor.statistics.events == before.events + 1, "by the timer")

        source.wait(for: .read)
        try reactor.turn(wait: true)
        #expect(handler.events.last == [.readable, .hangup])
        #expect(source.discard(100) == .bytes(10) && source.discard(100) == .bytes(0))
        source.close()
    }

    @Test func sourceThatStartsPaused() throws {
        var pipe = try Pipe()
        let writer = try take(&pipe.write)
        let handler = Handler()
        let source = reactor.watch(try take(&pipe.read), for: [], handler: handler)
        try writer.close()
        try reactor.turn(wait: false)
        #expect(reactor.statistics.events == 0 && source.interest == [])
        source.wait(for: .read)
        try reactor.turn(wait: false)
        #expect(handler.events == [.hangup])
        source.close()
        source.close()
        let left = source.takeDescriptor() == nil
        #expect(left)
    }

    @Test func writability() throws {
        var pipe = try Pipe(nonBlockingRead: true, nonBlockingWrite: true)
        let reader = try take(&pipe.read)
        let handler = Handler()
        let source = reactor.watch(try take(&pipe.write), for: .write, handler: handler)
        try reactor.turn(wait: false)
        #expect(handler.events == [.writable])
        while case .bytes = source.withDescriptor({ $0.put(4096) }) {}
        try reactor.turn(wait: false)
        #expect(handler.events.count == 1, "full")
        while case .bytes(let count) = reader.discard(65_536), count > 0 {}
        try reactor.turn(wait: false)
        #expect(handler.events == [.writable, .writable])
        source.wait(for: [])
        try reader.close()
        try reactor.turn(wait: false)
        #expect(handler.events.count == 2, "paused: not even the error")
        source.wait(for: .write)
        try reactor.turn(wait: false)
        #expect(handler.events.last?.contains(.error) == true)
        source.close()
    }

    /// A source that is given up keeps its descriptor open for the caller.
    @Test func takenDescriptorStaysOpen() throws {
        var pipe = try Pipe()
        let writer = try take(&pipe.write)
        let handler = Handler()
        let source = reactor.watch(try take(&pipe.read), for: .read, handler: handler)
        #expect(writer.put(3) == .bytes(3))
        let descriptor = try require(source.takeDescriptor())
        #expect(!source.isOpen && reactor.sourceCount == 0)
        try reactor.turn(wait: false)
        #expect(handler.events == [])
        #expect(descriptor.discard(10) == .bytes(3))
    }

    /// Each busy source gets its budget once a turn, whoever has more.
    @Test func busySourcesShareTheTurns() throws {
        let budget = 1024
        var log: [Int] = []
        var sources: [Source] = []
        var handlers: [Handler] = []
        var writers: [CInt] = []
        defer { for raw in writers { _ = FileDescriptor(owning: raw) } }
        for (index, bytes) in [65_536, 8 * budget, 65_536].enumerated() {
            var pipe = try Pipe()
            let writer = try take(&pipe.write)
            #expect(writer.put(bytes) == .bytes(bytes))
            writers.append(writer.release())
            let handler = Handler { source in
                log.append(index)
                #expect(source.discard(budget) == .bytes(budget))
            }
            handlers.append(handler)
            sources.append(reactor.watch(try take(&pipe.read), for: .read, handler: handler))
        }
        for turn in 0..<64 {
            log = []
            try reactor.turn(wait: true)
            #expect(log.sorted() == (turn < 8 ? [0, 1, 2] : [0, 2]), "turn \(turn)")
        }
        log = []
        try reactor.turn(wait: false)
        #expect(log == [], "all is read")
        #expect(reactor.statistics.turns == 65 && reactor.statistics.wakeups == 64)
        for source in sources { source.close() }
    }

    /// More ready sources than a turn takes from the kernel: all have their turn before any has its second.
    @Test func manySourcesTakeTurns() throws {
        var counts = [Int](repeating: 0, count: 200)
        var sources: [Source] = []
        var handlers: [Handler] = []
        var writers: [CInt] = []
        defer { for raw in writers { _ = FileDescriptor(owning: raw) } }
        for index in counts.indices {
            var pipe = try Pipe()
            let writer = try take(&pipe.write)
            #expect(writer.put(1) == .bytes(1))
            writers.append(writer.release())
            let handler = Handler { _ in counts[index] += 1 }
            handlers.append(handler)
            sources.append(reactor.watch(try take(&pipe.read), for: .read, handler: handler))
        }
        var turns = 0
        while counts.contains(0) {
            try reactor.turn(wait: true)
            turns += 1
            try #require(turns <= 4, "64 events a turn")
        }
        #expect(counts.allSatisfy { $0 <= 2 })
        for source in sources { source.close() }
        #expect(reactor.sourceCount == 0)
    }

    /// Places are used again and again, and events still find their own source.
    @Test(arguments: 0..<10 as Range<UInt64>)
    func randomOpeningAndClosing(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var open: [(source: Source, handler: Handler, writer: CInt, written: Int)] = []
        for step in 0..<300 {
            switch random.int(0...3) {
            case 0 where open.count < 40:
                var pipe = try Pipe()
                let handler = Handler { $0.discard(1000) }
                let source = reactor.watch(try take(&pipe.read), for: .read, handler: handler)
                open.append((source, handler, try take(&pipe.write).release(), 0))
            case 1 where !open.isEmpty:
                let gone = open.remove(at: random.int(0...(open.count - 1)))
                if random.oneIn(2) {
                    let poked = poke(gone.writer)
                    #expect(poked)
                }
                gone.source.close()
                _ = FileDescriptor(owning: gone.writer)
            default:
                for index in open.indices where random.oneIn(3) {
                    let poked = poke(open[index].writer)
                    #expect(poked)
                    open[index].written += 1
                }
                try reactor.turn(wait: false)
            }
            #expect(reactor.sourceCount == open.count)
            for entry in open where entry.written != entry.handler.events.count {
                Issue.record("seed \(seed), step \(step): \(entry.handler.events.count) events of \(entry.written)")
            }
        }
        #expect(reactor.statistics.staleEvents == 0)
        for entry in open {
            entry.source.close()
            _ = FileDescriptor(owning: entry.writer)
        }
    }
}
