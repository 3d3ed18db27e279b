// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A spool does what a simple model of it says, whatever happens to its disk and its process. `ELKEID_SEED=7` runs one
/// sequence of events alone.
@Suite("Spool against a model")
struct SpoolModelTests {
    static let seeds: [UInt64] = {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["ELKEID_SEED"].flatMap(UInt64.init) { return [seed] }
        return Array(1...(environment["ELKEID_SOAK"] == nil ? 40 : 200))
    }()

    @Test(arguments: seeds)
    func keepsWhatItSaysItKeeps(seed: UInt64) throws {
        let model = SpoolModel(seed: seed)
        for _ in 0..<200 { try model.event() }
        try model.end()
    }
}
