// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Syscalls
import TestSupport
import Testing

@Suite("Reactor: timers and deferred work")
struct TimerTests {
    let reactor: Reactor

    init() throws {
        reactor = try Reactor()
    }

    static let millisecond: UInt64 = 1_000_000

    @Test(
        arguments: [
            (0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2),
            (5_000_000_000_000_000_001, 5_000_000_000_001),
        ] as [(UInt64, UInt64)]
    )
    func deadlinesAreRoundedUp(_ nanoseconds: UInt64, _ milliseconds: UInt64) {
        let timer = reactor.makeTimer {}
        #expect(!timer.isArmed && timer.deadline == .distantFuture)
        timer.arm(at: MonotonicTime(nanoseconds: nanoseconds))
        #expect(timer.isArmed && timer.deadline.nanoseconds == milliseconds * Self.millisecond)
        timer.cancel()
        #expect(!timer.isArmed && timer.deadline == .distantFuture)
    }

    @Test func farFutureNeverFires() throws {
        var fired = 0
        let timer = reactor.makeTimer { fired += 1 }
        for nanoseconds in [UInt64.max, UInt64.max - 1, UInt64.max - 999_999] {
            timer.arm(at: MonotonicTime(nanoseconds: nanoseconds))
            #expect(timer.isArmed)
            try reactor.turn(wait: false)
        }
        timer.arm(after: TimeSpan(nanoseconds: .max))
        try reactor.turn(wait: false)
        #expect(fired == 0 && reactor.statistics.events == 0)
        timer.cancel()
    }

    @Test func neverEarly() throws {
        for microseconds in [1, 300, 1000, 1001, 2500] as [Int64] {
            let asked = MonotonicTime.now() + TimeSpan(nanoseconds: microseconds * 1000)
            var at: MonotonicTime?
            let timer = reactor.makeTimer { at = .now() }
            timer.arm(at: asked)
            try reactor.run { at != nil }
            let firedAt = try #require(at)
            #expect(firedAt >= asked)
            #expect(!timer.isArmed && timer.deadline == .distantFuture)
        }
        #expect(reactor.statistics.timersFired == 5)
    }

    /// Timers within one millisecond share a wakeup.
    @Test func closeTimersAreCoalesced() throws {
        // All within a millisecond that begins in 30 of them.
        let start = (MonotonicTime.now().nanoseconds / Self.millisecond + 30) * Self.millisecond
        var fired: [Int] = []
        let timers = (0..<100).map { index in reactor.makeTimer { fired.append(index) } }
        for (index, timer) in timers.enumerated() {
            timer.arm(at: MonotonicTime(nanoseconds: start + 1 + UInt64(index) * 9_999))
        }
        #expect(Set(timers.map(\.deadline)).count == 1)
        try reactor.run { !fired.isEmpty }
        #expect(fired.count == 100 && reactor.statistics.wakeups == 1 && reactor.statistics.events == 1)
        // Nothing is due any more: a turn that only looks finds nothing.
        try reactor.turn(wait: false)
        #expect(reactor.statistics.events == 1)
    }

    /// Cancelling the earliest timer disarms the kernel's: it must not wake the loop.
    @Test func cancelledTimerCausesNoWakeup() throws {
        var fired: [String] = []
        let early = reactor.makeTimer { fired.append("early") }
        let late = reactor.makeTimer { fired.append("late") }
        late.arm(after: .milliseconds(40))
        early.arm(after: .milliseconds(10))
        try reactor.turn(wait: false)
        early.cancel()
        try reactor.turn(wait: true)
        #expect(fired == ["late"] && reactor.statistics.wakeups == 1)
    }

    @Test func armingAgainMovesATimer() throws {
        var fired = 0
        let timer = reactor.makeTimer { fired += 1 }
        timer.arm(at: MonotonicTime(nanoseconds: 1))
        timer.arm(after: .seconds(3600))
        try reactor.turn(wait: false)
        #expect(fired == 0)
        timer.arm(at: MonotonicTime(nanoseconds: 1))
        try reactor.turn(wait: false)
        try reactor.turn(wait: false)
        #expect(fired == 1)
    }

    /// A timer armed by its own action for a time that is past fires in the next turn, not in a circle.
    @Test func armedWithinItsAction() throws {
        var fired = 0
        var timer: Timer?
        timer = reactor.makeTimer {
            fired += 1
            if fired < 5 { timer?.arm(at: MonotonicTime(nanoseconds: 1)) }
        }
        timer?.arm(at: MonotonicTime(nanoseconds: 1))
        for turn in 1...8 {
            try reactor.turn(wait: false)
            #expect(fired == min(turn, 5))
        }
        timer = nil
    }

    /// Actions of one turn may cancel, move and arm one another.
    @Test func actionsActOnOneAnother() throws {
        var fired: [String] = []
        var cancelled: Timer?
        var moved: Timer?
        let added = reactor.makeTimer { fired.append("added") }
        let first = reactor.makeTimer {
            fired.append("first")
            cancelled?.cancel()
            moved?.arm(after: .seconds(3600))
            added.arm(at: MonotonicTime(nanoseconds: 1))
        }
        cancelled = reactor.makeTimer { fired.append("cancelled") }
        moved = reactor.makeTimer { fired.append("moved") }
        first.arm(at: MonotonicTime(nanoseconds: 1 * Self.millisecond))
        cancelled?.arm(at: MonotonicTime(nanoseconds: 2 * Self.millisecond))
        moved?.arm(at: MonotonicTime(nanoseconds: 3 * Self.millisecond))
        try reactor.turn(wait: false)
        #expect(fired == ["first"])
        #expect(cancelled?.isArmed == false && moved?.isArmed == true && added.isArmed)
        try reactor.turn(wait: false)
        #expect(fired == ["first", "added"])
        moved?.cancel()
    }

    /// The heap against a sorted list: random arming, moving and cancelling; what is left fires in order.
    @Test(arguments: 0..<30 as Range<UInt64>)
    func orderIsThatOfTheDeadlines(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var fired: [UInt64] = []
        var deadlines: [Int: UInt64] = [:]
        var timers: [Timer] = []
        for index in 0..<60 { timers.append(reactor.makeTimer { fired.append(deadlines[index] ?? 0) }) }
        for _ in 0..<400 {
            let index = random.int(0...59)
            if random.oneIn(3) {
                timers[index].cancel()
                deadlines[index] = nil
            } else {
                let deadline = UInt64(random.int(1...1000)) * Self.millisecond
                timers[index].arm(at: MonotonicTime(nanoseconds: deadline))
                deadlines[index] = deadline
            }
        }
        // All these times are long past.
        try #require(MonotonicTime.now().nanoseconds > 2000 * Self.millisecond)
        try reactor.turn(wait: false)
        #expect(fired == deadlines.values.sorted(), "seed \(seed)")
        #expect(timers.allSatisfy { !$0.isArmed })
    }

    // MARK: Deferred work

    @Test func deferredWorkRunsOnceAndInOrder() throws {
        var log: [String] = []
        let first = reactor.makeDeferred { log.append("first") }
        let second = reactor.makeDeferred { log.append("second") }
        second.schedule()
        first.schedule()
        second.schedule()
        #expect(first.isScheduled)
        // It does not wait: there is work.
        try reactor.turn(wait: true)
        #expect(log == ["second", "first"] && reactor.statistics.wakeups == 0 && !first.isScheduled)
        try reactor.turn(wait: false)
        #expect(log.count == 2)
        first.schedule()
        try reactor.turn(wait: false)
        #expect(log == ["second", "first", "first"])
    }

    @Test func deferredFromDeferredRunsInTheNextTurn() throws {
        var turns: [UInt64] = []
        var again: Deferred?
        let work = reactor.makeDeferred {
            turns.append(reactor.statistics.turns)
            if turns.count < 3 { again?.schedule() }
        }
        again = work
        work.schedule()
        for _ in 0..<5 { try reactor.turn(wait: false) }
        #expect(turns == [1, 2, 3])
        again = nil
    }

    @Test func cancelledWorkDoesNotRun() throws {
        var runs = 0
        let work = reactor.makeDeferred { runs += 1 }
        work.cancel()
        work.schedule()
        work.cancel()
        try reactor.turn(wait: false)
        #expect(runs == 0)
        work.schedule()
        work.cancel()
        work.schedule()
        try reactor.turn(wait: false)
        #expect(runs == 1, "asked for again after it was taken back")
    }

    /// In one turn: events, then timers, then deferred work.
    @Test func orderWithinATurn() throws {
        var log: [String] = []
        var pipe = try Pipe()
        let writer = try take(&pipe.write)
        let work = reactor.makeDeferred { log.append("deferred") }
        let timer = reactor.makeTimer { log.append("timer") }
        let handler = Handler { source in
            log.append("event")
            source.discard(10)
            work.schedule()
        }
        let source = reactor.watch(try take(&pipe.read), for: .read, handler: handler)
        #expect(writer.put(1) == .bytes(1))
        timer.arm(at: MonotonicTime(nanoseconds: 1))
        try reactor.turn(wait: true)
        #expect(log == ["event", "timer", "deferred"])
        source.close()
    }

    @Test func runUntilStopped() throws {
        var turns = 0
        var again: Deferred?
        let work = reactor.makeDeferred {
            turns += 1
            if turns == 10 { reactor.stop() }
            again?.schedule()
        }
        again = work
        work.schedule()
        try reactor.run()
        #expect(turns == 10)
        work.cancel()
        try reactor.turn(wait: false)
        #expect(turns == 10)
        again = nil
    }

    @Test func spansAndTimes() {
        #expect(TimeSpan.seconds(2) == TimeSpan.milliseconds(2000) && TimeSpan.milliseconds(1).nanoseconds == 1_000_000)
        #expect(TimeSpan.seconds(.max).nanoseconds == .max && TimeSpan.milliseconds(.max).nanoseconds == .max)
        #expect(TimeSpan.milliseconds(1500).seconds == 1.5 && TimeSpan.zero < .milliseconds(1))
        let time = MonotonicTime(nanoseconds: 1000)
        #expect(time + TimeSpan(nanoseconds: 5) == MonotonicTime(nanoseconds: 1005))
        #expect(time + TimeSpan(nanoseconds: -5) == time, "a negative span is none")
        #expect(MonotonicTime(nanoseconds: .max - 1) + .seconds(1) == .distantFuture)
        #expect(MonotonicTime(nanoseconds: 5) - time == TimeSpan(nanoseconds: -995))
        #expect((MonotonicTime.distantFuture - time).nanoseconds == .max - 1000)
        let now = MonotonicTime.now()
        #expect(now <= MonotonicTime.now())
    }
}
