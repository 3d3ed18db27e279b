// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import TestSupport
import Testing

@Suite("Ledger")
struct LedgerTests {
    /// Those that are no reasons.
    private static var states: [WritableKeyPath<Ledger, UInt64>] {
        [\.malformed, \.queued, \.inFlight, \.spooled, \.confirmed]
    }

    /// 100 records: 5 malformed, 60 that wait, 30 confirmed, 5 given up.
    private var earlier: Ledger {
        var ledger = Ledger()
        ledger.received = 100
        ledger.malformed = 5
        ledger.queued = 10
        ledger.inFlight = 20
        ledger.spooled = 30
        ledger.confirmed = 30
        ledger.dropped = [.memoryFull: 5]
        ledger.resent = 7
        return ledger
    }

    /// Any ledger in which every record has its state.
    private func makeLedger(_ random: inout SeededRandom) -> Ledger {
        var ledger = Ledger()
        for state in Self.states where !random.oneIn(4) { ledger[keyPath: state] = UInt64(random.int(0...1000)) }
        ledger.resent = UInt64(random.int(0...1000))
        for reason in DropReason.allCases where random.oneIn(2) { ledger.dropped[reason] = UInt64(random.int(1...50)) }
        ledger.received = ledger.malformed + ledger.waiting + ledger.confirmed + ledger.droppedTotal
        return ledger
    }

    // MARK: Balance

    @Test func everyStateCountsOnce() {
        var empty = Ledger()
        #expect(empty.isBalanced && empty.waiting == 0 && empty.droppedTotal == 0)
        empty.resent = 1
        #expect(empty.isBalanced, "what is sent again has its state already")
        for state in Self.states {
            var ledger = Ledger()
            ledger[keyPath: state] = 1
            #expect(!ledger.isBalanced)
            ledger.received = 1
            #expect(ledger.isBalanced)
        }
        for reason in DropReason.allCases {
            var ledger = Ledger()
            ledger.dropped[reason] = 1
            #expect(!ledger.isBalanced && ledger.droppedTotal == 1)
            ledger.received = 1
            #expect(ledger.isBalanced)
        }
        #expect(earlier.isBalanced && earlier.waiting == 60)
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func sums(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let (left, right, third) = (makeLedger(&random), makeLedger(&random), makeLedger(&random))
        let sum = left + right
        for state in Self.states {
            #expect(sum[keyPath: state] == left[keyPath: state] + right[keyPath: state], "seed \(seed)")
        }
        #expect(sum.received == left.received + right.received && sum.resent == left.resent + right.resent)
        for reason in DropReason.allCases {
            let both = left.dropped[reason, default: 0] + right.dropped[reason, default: 0]
            #expect(sum.dropped[reason, default: 0] == both, "seed \(seed)")
        }
        #expect(sum.isBalanced && sum.waiting == left.waiting + right.waiting, "seed \(seed)")
        #expect(sum == right + left && sum + third == left + (right + third), "seed \(seed)")
        #expect(left + Ledger() == left && Ledger() + left == left, "seed \(seed)")
    }

    // MARK: From one agent to the next

    /// What waited and is not in the spool is uncertain; what is there, its lanes bring.
    @Test(
        arguments: [
            (0, "received 100, malformed 5, confirmed 30, resent 7, memoryFull 5, uncertain 60"),
            (1, "received 99, malformed 5, confirmed 30, resent 7, memoryFull 5, uncertain 59"),
            (30, "received 70, malformed 5, confirmed 30, resent 7, memoryFull 5, uncertain 30"),
            (59, "received 41, malformed 5, confirmed 30, resent 7, memoryFull 5, uncertain 1"),
            (60, "received 40, malformed 5, confirmed 30, resent 7, memoryFull 5"),
            (61, "received 40, malformed 5, confirmed 30, resent 7, memoryFull 5"),
            (10_000, "received 40, malformed 5, confirmed 30, resent 7, memoryFull 5"),
        ] as [(UInt64, String)]
    )
    func continuing(spooled: UInt64, text: String) {
        let books = Ledger.continuing(earlier, spooled: spooled)
        #expect(books.text == text && books.isBalanced)
    }

    @Test func continuingNothing() {
        #expect(Ledger.continuing(Ledger(), spooled: 0) == Ledger())
        #expect(Ledger.continuing(Ledger(), spooled: 5) == Ledger())
    }

    /// Over many agents: no record is forgotten, and none counts twice.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func continuingAgainAndAgain(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var earlier = makeLedger(&random)
        for agent in 1...5 {
            let comment: Comment = "seed \(seed), agent \(agent)"
            let spooled = UInt64(random.int(0...(2 * Int(earlier.waiting) + 1)))
            let books = Ledger.continuing(earlier, spooled: spooled)
            let missing = spooled < earlier.waiting ? earlier.waiting - spooled : 0
            let more = spooled > earlier.waiting ? spooled - earlier.waiting : 0
            #expect(books.isBalanced && books.waiting == 0, comment)
            var expected = earlier.dropped
            if missing > 0 { expected[.uncertain, default: 0] += missing }
            #expect(books.dropped == expected, comment)
            #expect(books.confirmed == earlier.confirmed && books.malformed == earlier.malformed, comment)
            #expect(books.resent == earlier.resent, comment)

            var lanes = Ledger()
            lanes.received = spooled
            lanes.spooled = spooled
            let all = books + lanes
            #expect(all.isBalanced && all.received == earlier.received + more, comment)
            earlier = all + makeLedger(&random)
        }
    }
}
