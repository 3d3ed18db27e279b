// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Real agents, servers and networks that fail: nothing is lost but what the documentation says can be, in order, and
/// the books agree with what the servers got.
extension Integration {
    @Suite struct Delivery {
        /// A schedule, and records a second of all writers together.
        struct Life: CustomTestStringConvertible, Sendable {
            var seed: UInt64
            var rate: Int
            var testDescription: String { "seed \(seed) at \(rate) records/s" }
        }

        /// `ELKEID_SEED=7` runs one schedule alone; in the long form its faults last longer.
        static let lives: [Life] = {
            let ordinary = 2000
            let high = TestEnvironment.isSanitized ? 4000 : TestEnvironment.isSoak ? 50_000 : 20_000
            if let seed = ProcessInfo.processInfo.environment["ELKEID_SEED"].flatMap(UInt64.init) {
                return [Life(seed: seed, rate: ordinary), Life(seed: seed, rate: high)]
            }
            // The three of the short form have every fault among them.
            let seeds: [UInt64] = TestEnvironment.isSoak ? Array(1...20) : [433, 79]
            let highSeeds: [UInt64] = TestEnvironment.isSoak ? Array(21...40) : [150]
            return seeds.map { Life(seed: $0, rate: ordinary) } + highSeeds.map { Life(seed: $0, rate: high) }
        }()

        @Test(.alone, arguments: lives)
        func survives(_ life: Life) throws { try Scenario.run { try Self.survive(life, in: $0) } }

        private static func survive(_ life: Life, in scenario: Scenario) throws {
            let start = ContinuousClock.now
            let schedule = DeliverySchedule(seed: life.seed)
            print("\(schedule); ELKEID_SEED=\(life.seed) repeats it")
            let run = try DeliveryRun(schedule, rate: life.rate, in: scenario)
            try run.run()
            try run.expectDelivered()
            print("\(life.testDescription): \(ContinuousClock.now - start)")
        }
    }
}
