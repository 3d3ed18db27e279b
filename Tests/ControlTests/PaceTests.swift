// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import Reactor
import TestSupport
import Testing

@Suite("Control: the pace of answers")
struct PaceTests {
    static func time(_ milliseconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: milliseconds * 1_000_000) }

    /// An interval and a burst, and what is said at which time: nil is "now"; all in milliseconds.
    static let tables: [(interval: Int64, burst: Int64, takes: [(at: UInt64, later: UInt64?)])] = [
        // One after the other.
        (10, 1, [(0, nil), (0, 10), (5, 10), (9, 10), (10, nil), (10, 20), (25, nil), (25, 35), (35, nil)]),
        // A burst of none is one: nothing could ever be done otherwise.
        (10, 0, [(100, nil), (100, 110), (110, nil)]),
        // Three at once, then as they come.
        (10, 3, [(1000, nil), (1000, nil), (1000, nil), (1000, 1010), (1009, 1010), (1010, nil), (1010, 1020)]),
        // A pause brings back what was used up, and no more than the burst.
        (
            10, 3,
            [(0, nil), (0, nil), (0, nil), (15, nil), (15, 20), (9000, nil), (9000, nil), (9000, nil), (9000, 9010)]
        ),
        // Who asks and is told to wait has used nothing up.
        (10, 2, [(50, nil), (50, nil), (50, 60), (50, 60), (50, 60), (60, nil), (60, 70), (70, nil), (80, nil)]),
        (2, 4, [(7, nil), (8, nil), (9, nil), (10, nil), (10, nil), (10, 11), (11, nil)]),
    ]

    @Test(arguments: tables.indices)
    func table(index: Int) {
        let (interval, burst, takes) = Self.tables[index]
        var pace = Pace(every: .milliseconds(interval), burst: burst)
        for (step, take) in takes.enumerated() {
            #expect(pace.take(at: Self.time(take.at)) == take.later.map(Self.time), "step \(step)")
        }
    }

    /// To wait as long as one is told is enough, and not a nanosecond less.
    @Test func whatItSaysIsExact() throws {
        var pace = Pace(every: TimeSpan(nanoseconds: 333), burst: 5)
        var now = MonotonicTime(nanoseconds: 1_000_000)
        for _ in 0..<5 { #expect(pace.take(at: now) == nil) }
        for _ in 0..<100 {
            let taken = pace.take(at: now)
            let later = try #require(taken)
            #expect(later > now)
            #expect(pace.take(at: MonotonicTime(nanoseconds: later.nanoseconds - 1)) == later)
            #expect(pace.take(at: later) == nil)
            now = later
        }
    }

    /// In no span of time more than its share and the burst; and nobody waits for longer than one interval.
    @Test(arguments: 0..<10 as Range<UInt64>)
    func neverMoreThanTheRate(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let interval: UInt64 = 1000
        let burst = random.int(1...20)
        var pace = Pace(every: TimeSpan(nanoseconds: Int64(interval)), burst: Int64(burst))
        var now: UInt64 = 5_000_000
        var taken: [UInt64] = []
        for _ in 0..<2000 {
            now += UInt64(random.oneIn(50) ? random.int(0...40_000) : random.int(0...800))
            if let later = pace.take(at: MonotonicTime(nanoseconds: now)) {
                #expect(later.nanoseconds > now && later.nanoseconds <= now + interval, "seed \(seed)")
            } else {
                taken.append(now)
            }
        }
        #expect(taken.count > burst)
        for first in taken.indices {
            for last in first..<min(taken.count, first + 100) {
                let most = burst + Int((taken[last] - taken[first]) / interval)
                #expect(last - first + 1 <= most, "seed \(seed): \(taken[first]) to \(taken[last])")
            }
        }
    }
}
