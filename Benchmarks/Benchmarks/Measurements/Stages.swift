// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport

// The parts of the way in one process, without pipe and socket.
extension Suite {
    mutating func stages() throws {
        let path = try HotPath()
        defer { path.end() }
        let rounds = volume / path.bytes
        var samples: [HotPath.Stage: [Double]] = [:]
        for repetition in 0...repetitions {
            for stage in HotPath.Stage.allCases {
                let began = processorTime()
                for _ in 0..<rounds { try path.round(stage) }
                let perByte = (processorTime() - began) / Double(rounds * path.bytes)
                if repetition > 0 { samples[stage, default: []].append(perByte) }
            }
        }
        let copies = samples[.copy] ?? []
        func without(_ stage: HotPath.Stage) -> [Double] {
            zip(samples[stage] ?? [], copies).map { max(0, $0 - $1) }
        }
        let group = "Parts of the way, 600-byte records"
        let perRecord = Double(path.bytes) / Double(path.records)
        add(group, "splice only", "ns/record", without(.splice).map { $0 * perRecord })
        add(group, "splice only, per byte", "ns/byte", without(.splice), floor: Self.naive)
        add(group, "splice + chain", "ns/byte", without(.chain), floor: Self.naive)
        add(group, "TLS write", "ns/byte", samples[.tls] ?? [], floor: Self.naive)
        add(group, "splice + chain + HTTP/2 + TLS", "ns/byte", without(.http2), floor: Self.naive)
    }
}
