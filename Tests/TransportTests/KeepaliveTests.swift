// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import GRPC
import Reactor
import Testing
import Transport

struct KeepaliveTests {
    static func at(_ seconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    /// When it was asked, when the peer was last heard by then, and what it said; silence 30 s, answer 15 s.
    static let talks: [[(now: UInt64, heard: UInt64, expected: Keepalive.Action)]] = [
        // A peer that answers.
        [
            (30, 0, .ping(answerBy: at(45))), (45, 31, .wait(until: at(61))), (61, 31, .ping(answerBy: at(76))),
            (76, 62, .wait(until: at(92))),
        ],
        // One that never does is dead 45 s after its last word.
        [(30, 0, .ping(answerBy: at(45))), (45, 0, .dead(silentFor: .seconds(45)))],
        // One that talks is not asked.
        [(30, 29, .wait(until: at(59))), (59, 58, .wait(until: at(88)))],
        // Asked too early: wait on.
        [(30, 0, .ping(answerBy: at(45))), (40, 0, .wait(until: at(45)))],
        // Woken an hour later, after a suspension: asked at once, and dead if there is no answer.
        [(3600, 0, .ping(answerBy: at(3615))), (3615, 0, .dead(silentFor: .seconds(3615)))],
    ]

    @Test(arguments: talks.indices)
    func findsOutWhoLives(index: Int) {
        var keepalive = Keepalive(interval: .seconds(30), timeout: .seconds(15))
        for (now, heard, expected) in Self.talks[index] {
            #expect(keepalive.due(at: Self.at(now), lastHeard: Self.at(heard)) == expected)
        }
    }

    @Test func conflictsAreAProblemOnlyWhenTheyLast() {
        var watch = ConflictWatch(limit: .seconds(900))
        #expect(ConflictWatch.isConflict(GRPCStatus(.unknown, "agentID conflict")))
        #expect(!ConflictWatch.isConflict(GRPCStatus(.unknown, "out of max connection limit")))
        watch.refused(at: Self.at(100))
        watch.refused(at: Self.at(700))
        #expect(watch.problem(at: Self.at(999)) == nil)
        #expect(watch.problem(at: Self.at(1000))?.contains("for 15 min") == true)
        watch.accepted()
        #expect(watch.problem(at: Self.at(2000)) == nil)
        watch.refused(at: Self.at(2000))
        #expect(watch.problem(at: Self.at(2001)) == nil)
    }
}
