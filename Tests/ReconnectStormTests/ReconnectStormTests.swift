// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
import ReconnectStorm
import Testing

/// On a simulated clock with the agent's own backoff and plan: one seed, one outcome.
@Suite struct ReconnectStormTests {
    static let agents = 5000
    static let seeds: [UInt64] = [1, 2, 3]

    private func outcomes(_ pause: StormScenario.Pause, seed: UInt64) -> [StormOutcome] {
        StormScenario.documented(agents: Self.agents, seed: seed, pause: pause).map(Storm.run)
    }

    /// Evenly spread over the first pause there are 50 in each tenth of a second, and half as many again where the second
    /// round of some meets the first of others; chance adds 50 in one of 10^7 at most.
    @Test(arguments: seeds) func attemptsAreSpread(seed: UInt64) {
        for outcome in outcomes(StormScenario.ours, seed: seed) {
            #expect(outcome.peakOfBucket <= 125, "\(outcome.scenario.name)")
            #expect(outcome.connected == outcome.agents, "\(outcome.scenario.name)")
        }
    }

    /// The simulation can fail: with the same pause for everybody all come at once, and keep themselves out.
    @Test func equalPausesAreAStorm() throws {
        let outcomes = outcomes(StormScenario.original, seed: 1)
        for outcome in outcomes { #expect(outcome.peakOfBucket >= outcome.agents, "\(outcome.scenario.name)") }
        let restarted = try #require(outcomes.first)
        #expect(restarted.complete == nil)
        #expect(restarted.wastedHandshakes > 0)
    }

    @Test func aSeedHasOneOutcome() {
        let runs = (0..<2).map { _ in outcomes(StormScenario.ours, seed: 7).map(\.attempts) }
        #expect(runs[0] == runs[1])
        #expect(outcomes(StormScenario.ours, seed: 8).map(\.attempts) != runs[0])
    }

    /// Worked out by hand: two agents, one handshake a second, a limit of 1.5 s.
    @Test func handshakesTakeTurns() {
        let outcome = Storm.run(
            StormScenario(
                name: "by hand",
                agents: 2,
                servers: [.init(returns: .seconds(2))],
                pause: .fixed(.milliseconds(1900)),
                handshakesPerSecond: 1,
                attemptLimit: .milliseconds(1500),
                end: .seconds(20)
            )
        )
        // 1.900: both refused, told at 1.901. 3.801: one is served until 4.801, the other would be until 5.801 and gives
        // up at 5.301. 7.201: served until 8.201.
        #expect(outcome.totalAttempts == 5)
        #expect([18, 19, 38, 72].map { outcome.attempts[$0] } == [0, 2, 2, 1])
        #expect(outcome.wastedHandshakes == 1)
        #expect(outcome.connections[48] == 1)
        #expect(outcome.complete == .milliseconds(8201))
    }
}
