// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport

// What it costs to keep records until they are confirmed, against letting go of them when they are written.
extension Suite {
    mutating func retention() throws {
        var (kept, released): ([Double], [Double]) = ([], [])
        for _ in 0..<repetitions {
            released.append(try HotPath.cost(volume, unconfirmed: 0))
            kept.append(try HotPath.cost(volume, unconfirmed: HotPath.unconfirmed))
        }
        let group = "Keeping records until they are confirmed"
        add(group, "released at once", "ns/byte", released)
        add(group, "kept until 2 MiB later", "ns/byte", kept, floor: "released at once")
    }
}

extension HotPath {
    /// Nanoseconds of CPU for each byte of `volume`.
    fileprivate static func cost(_ volume: Int, unconfirmed: UInt64) throws -> Double {
        let path = try HotPath(unconfirmed: unconfirmed)
        defer { path.end() }
        let rounds = volume / path.bytes
        let began = processorTime()
        for _ in 0..<rounds { try path.round(.http2) }
        return (processorTime() - began) / Double(rounds * path.bytes)
    }
}
