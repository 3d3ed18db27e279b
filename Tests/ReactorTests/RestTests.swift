// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Syscalls
import TestSupport
import Testing

/// What is done before the loop sleeps for long. A byte in a pipe ends each sleep at once.
@Suite("Reactor: when nothing is due")
final class RestTests {
    private static let hour = TimeSpan.seconds(3600)

    private let reactor: Reactor
    private var pipe: Pipe
    private var source: Source?
    private let handler: Handler
    /// When it was called.
    private var rests: [MonotonicTime] = []

    init() throws {
        reactor = try Reactor()
        pipe = try Pipe(nonBlockingRead: true)
        handler = Handler { $0.discard(1) }
        source = reactor.watch(try take(&pipe.read), for: .read, handler: handler)
        reactor.whenNothingIsDue(for: .seconds(10)) { [unowned self] in rests.append($0) }
    }

    /// Calls before one turn that sleeps, if it does, until the byte that is there already is seen.
    private func rests(wait: Bool = true) throws -> Int {
        rests = []
        let events = handler.events.count
        try #require(poke(pipe.write?.rawValue ?? -1))
        try reactor.turn(wait: wait)
        #expect(handler.events.count == events + 1)
        return rests.count
    }

    @Test func nothingIsDue() throws {
        let before = MonotonicTime.now()
        #expect(try rests() == 1)
        let first = try #require(rests.first)
        #expect(try rests() == 1, "before each sleep")
        let second = try #require(rests.first)
        // The time of the last turn's end, which for the first is when the loop was made.
        #expect(first <= before && second >= before && second <= MonotonicTime.now())
    }

    /// Armed for later than the span, or sooner.
    @Test(arguments: [(3600, 1), (11, 1), (9, 0), (1, 0)] as [(Int64, Int)])
    func timers(seconds: Int64, calls: Int) throws {
        let far = reactor.makeTimer {}
        far.arm(after: Self.hour)
        let timer = reactor.makeTimer {}
        timer.arm(after: .seconds(seconds))
        #expect(try rests() == calls)
        timer.cancel()
        #expect(try rests() == 1, "a cancelled timer is not due")
        far.cancel()
    }

    @Test func timerThatFiredIsNotDue() throws {
        let timer = reactor.makeTimer {}
        timer.arm(at: MonotonicTime(nanoseconds: 1))
        #expect(try rests() == 0)
        try reactor.run { !timer.isArmed }
        #expect(try rests() == 1)
    }

    /// Work that waits for the next turn is due now.
    @Test func deferredWork() throws {
        var runs = 0
        let work = reactor.makeDeferred { runs += 1 }
        work.schedule()
        #expect(try rests() == 0 && runs == 1)
        #expect(try rests() == 1 && runs == 1)
    }

    @Test func turnsThatDoNotWait() throws { #expect(try rests(wait: false) == 0) }

    @Test func theLastOneAskedForIsCalled() throws {
        var others = 0
        reactor.whenNothingIsDue(for: Self.hour) { _ in others += 1 }
        let timer = reactor.makeTimer {}
        timer.arm(after: .seconds(1800))
        #expect(try rests() == 0 && others == 0)
        timer.cancel()
        #expect(try rests() == 0 && others == 1)
    }
}
