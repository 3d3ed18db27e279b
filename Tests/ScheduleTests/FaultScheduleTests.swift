// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import Foundation
import Testing

/// Random faults against the cores: nothing is lost but what the documentation says can be, in order, and the books
/// agree with the server's. `ELKEID_SEED=7` runs one schedule alone, `ELKEID_SOAK=1` all of them.
@Suite("Fault schedules")
struct FaultScheduleTests {
    static let seeds: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["ELKEID_SEED"].flatMap(UInt64.init) { return [seed] }
        return Array(1...(environment["ELKEID_SOAK"] == nil ? 10 : 200))
    }()

    @Test(arguments: seeds)
    func survives(seed: UInt64) {
        let schedule = FaultSchedule(seed: seed)
        let simulation = DeliverySimulation(schedule)
        simulation.run()
        #expect(simulation.problems.isEmpty, "\(schedule)\n\(simulation.problems)")
        let missing = simulation.made.subtracting(simulation.books.seen)
        let ledger = simulation.agent.outbox.ledger
        let unexplained = missing.subtracting(simulation.mayBeMissing).subtracting(simulation.stalledTail)
        let records = unexplained.reduce(0) { $0 + $1.records }
        let dropped = ledger.dropped.reduce(0) { $0 + ($1.key == .superseded || $1.key == .uncertain ? 0 : $1.value) }
        #expect(records <= dropped, "\(schedule)\n\(unexplained.count) batches are missing, \(ledger)")
        #expect(simulation.books.reordered == 0, "\(schedule)")
        #expect(simulation.books.duplicates <= simulation.resent, "\(schedule)\n\(ledger)")
        #expect(ledger.isBalanced, "\(schedule)\n\(ledger)")
    }
}
