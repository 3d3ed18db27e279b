// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CAllocationCounter

/// `hot-path`: a fixed amount of work in one process, whose instructions and allocations others count.
struct HotPathCommand {
    private let stage: HotPath.Stage
    private let rounds: Int
    private var size = 600

    /// - Throws: what is wrong with the options.
    init(options: [String]) throws {
        let names = HotPath.Stage.allCases.map(\.rawValue).joined(separator: ", ")
        guard options.count >= 2, let stage = HotPath.Stage(rawValue: options[0]) else {
            throw RigError("hot-path needs a stage (\(names)) and a number of rounds")
        }
        guard let rounds = Int(options[1]), 0...1_000_000 ~= rounds else {
            throw RigError("hot-path: \"\(options[1])\" is no number of rounds from 0 to 1000000")
        }
        self.stage = stage
        self.rounds = rounds
        if options.count > 2 {
            guard let size = Int(options[2]), 64...250_000 ~= size else {
                throw RigError("hot-path: \"\(options[2])\" is no size of records from 64 to 250000")
            }
            self.size = size
        }
    }

    /// Prints what was done; the first rounds, in which pools and queues grow, are not counted as allocations.
    func run() throws {
        let path = try HotPath(recordSize: size)
        defer { path.end() }
        for _ in 0..<Self.warmUp { try path.round(stage) }
        let before = CAllocationCounter_count()
        for _ in 0..<rounds { try path.round(stage) }
        let allocations = CAllocationCounter_count() - before
        print(
            "rounds \(rounds) records \(rounds * path.records) bytes \(rounds * path.bytes) allocations \(allocations)"
        )
    }

    private static let warmUp = 64
}
