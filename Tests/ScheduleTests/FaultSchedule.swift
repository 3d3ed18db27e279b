// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
import TestSupport

/// What goes wrong, and when: all of it follows from the seed.
struct FaultSchedule: CustomStringConvertible {
    enum Kind: String, CaseIterable {
        case reset, refusal, blackHole, halfOpen, trickle, latency, stopsReading, endedByRequest, serverKilled
        case agentKilled, powerLost, diskFails, diskFull
        var isKill: Bool { self == .agentKilled || self == .powerLost }
        var isOfTheDisk: Bool { self == .diskFails || self == .diskFull }
    }

    struct Fault {
        var kind: Kind
        var start: TimeSpan
        var length: TimeSpan
    }

    static let length = TimeSpan.seconds(120)

    let seed: UInt64
    let faults: [Fault]
    /// Records a second, of all lanes together.
    let rate: Int
    /// Bytes of the spool.
    let disk: Int
    let dropsOldest: Bool
    /// What the handler reads in a second, in bytes.
    let handlerRate: UInt64

    init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed: seed)
        rate = [500, 2000, 20_000].randomElement(using: &random) ?? 500
        disk = [1 << 20, 64 << 20, 64 << 20].randomElement(using: &random) ?? 0
        dropsOldest = Bool.random(using: &random)
        handlerRate = [300_000, 3_000_000, 30_000_000].randomElement(using: &random) ?? 0
        var faults: [Fault] = []
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            faults.append(
                Fault(
                    kind: Kind.allCases.randomElement(using: &random) ?? .reset,
                    start: .milliseconds(.random(in: 1000...110_000, using: &random)),
                    length: .milliseconds(.random(in: 100...40_000, using: &random))
                )
            )
        }
        // What a kill leaves is compared with what the disk had: that must have been able to take it.
        if let kill = faults.first(where: \.kind.isKill) {
            faults.removeAll { $0.kind.isOfTheDisk && kill.kind.isKill }
        }
        self.faults = faults.sorted { $0.start < $1.start }
    }

    var description: String {
        let list = faults.map { "\($0.kind) at \($0.start.seconds) for \($0.length.seconds)" }.joined(separator: ", ")
        return
            "seed \(seed): \(rate) records/s, disk \(disk >> 20) MiB, \(dropsOldest ? "drop-oldest" : "block"), handler "
            + "\(handlerRate) B/s; \(list)"
    }
}
