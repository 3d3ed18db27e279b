// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Plugins
import Reactor
import Testing

/// When a pipe is read again.
struct ModerationTests {
    private static func at(_ milliseconds: UInt64) -> MonotonicTime {
        MonotonicTime(nanoseconds: (1000 + milliseconds) * 1_000_000)
    }

    /// A quarter of a pipe of 1 MiB is full, and read again at once; less waits for company.
    @Test func fullReadsStreamOthersLinger() {
        var moderation = Moderation(linger: .milliseconds(100), pipeCapacity: 1 << 20)
        #expect(moderation.didRead(256 << 10, at: Self.at(0)) == .stream)
        #expect(moderation.didRead(1000, at: Self.at(1000)) == .linger(.milliseconds(100)))
        #expect(moderation.didRead(0, at: Self.at(1100)) == .watch)
    }

    /// What was read in turns of which others followed belongs to the rate: a pipe that had filled up while it waited is
    /// not left for as long again.
    @Test func theRateCountsWhatEarlierTurnsRead() {
        var moderation = Moderation(linger: .milliseconds(100), pipeCapacity: 1 << 20)
        #expect(moderation.didRead(600, at: Self.at(0)) == .linger(.milliseconds(100)))
        let next = moderation.didRead(50_000, after: 998_576, at: Self.at(100))
        guard case .linger(let wait) = next else {
            Issue.record("\(next)")
            return
        }
        // 1 MiB in 100 ms, halved by smoothing: a quarter of the pipe fills in 50 ms.
        #expect(wait == .milliseconds(50))
    }
}
