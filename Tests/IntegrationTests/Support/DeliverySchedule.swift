// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// What happens to an agent, its server and the network between them, one after the other: all of it follows from the
/// seed, and from whether this is the long form.
struct DeliverySchedule: CustomStringConvertible {
    enum Fault: String, CaseIterable {
        case reset, refusal, blackHole, halfOpen, swallow, trickle, latency, stopReading, pause, end
        case serverKilled, agentKilled
        var isKill: Bool { self == .serverKilled || self == .agentKilled }
    }

    struct Step {
        var fault: Fault
        /// Of the fault, in milliseconds.
        var length: Int
        /// After it, in milliseconds.
        var pause: Int
    }

    private static let shortest = 300
    private static let longest = 4000
    /// What a resumed handler gets to read what it has kept: some of that may have been confirmed by PINGs.
    private static let pauseAfterPause = 1000
    /// All faults and pauses together, more or less. Of the short form: a run must not take longer than 15 s.
    private static let budget = TestEnvironment.isSoak ? 20_000 : 6500

    let seed: UInt64
    let steps: [Step]

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: seed)
        let count = random.int(4...6)
        var faults = Fault.allCases.shuffled(using: &random)
        // What a paused handler has not read is gone with its server.
        if faults.prefix(count).contains(where: \.isKill) { faults.removeAll { $0 == .pause } }
        var steps: [Step] = []
        var left = Self.budget
        for (index, fault) in faults.prefix(count).enumerated() {
            let pause = fault == .pause ? Self.pauseAfterPause : random.int(100...400)
            let others = 2 * Self.shortest * (count - index - 1)
            let most = min(Self.longest, left - pause - others)
            let length = random.int(Self.shortest...max(Self.shortest, most))
            left -= length + pause
            steps.append(Step(fault: fault, length: length, pause: pause))
        }
        self.steps = steps
    }

    /// From the beginning of a step to a moment after the last one, in seconds.
    func seconds(from index: Int) -> Double {
        let rest = steps.dropFirst(index)
        let planned = rest.reduce(0) { $0 + $1.length + $1.pause }
        // To start something again takes its time.
        let kills = rest.count { $0.fault.isKill }
        return Double(planned + 1000 + 700 * kills) / 1000
    }

    var description: String {
        "seed \(seed): " + steps.map { "\($0.fault) \($0.length) ms" }.joined(separator: ", ")
    }
}
