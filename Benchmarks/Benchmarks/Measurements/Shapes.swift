// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport

// How the cost depends on what is written: record sizes, numbers of plugins, compression.
extension Suite {
    private static let sizes = [100, 250, 600, 4096, 65536, 1 << 20]

    mutating func recordSizes() throws {
        let group = "CPU per byte by record size"
        try withAgent { suite, agent in
            var costs = [[Double]](repeating: [], count: Self.sizes.count)
            try suite.byTurns { isWarm in
                for (index, size) in Self.sizes.enumerated() {
                    let cost = try agent.measure(.flood(suite.volume / 3, size: size))
                    if isWarm { costs[index].append(cost.perByte) }
                }
            }
            for (index, size) in Self.sizes.enumerated() {
                suite.add(group, Self.sizeName(size), "ns/byte", costs[index], floor: Self.naive)
            }
        }
    }

    static func sizeName(_ size: Int) -> String {
        switch size {
        case ..<1024: "records of \(size) B"
        case ..<(1 << 20): "records of \(size >> 10) KiB"
        default: "records of \(size >> 20) MiB"
        }
    }

    mutating func pluginCounts() throws {
        let counts = [1, 4, 16, 50]
        var discards: [DiscardServer] = []
        var agents: [Subject] = []
        defer {
            for agent in agents { agent.end() }
            for discard in discards { discard.close() }
        }
        for count in counts {
            let discard = try DiscardServer(rig)
            discards.append(discard)
            agents.append(try Subject.agent(rig, discard, Subject.AgentOptions(plugins: count)))
        }
        var costs = [[Double]](repeating: [], count: counts.count)
        try byTurns { isWarm in
            for (index, agent) in agents.enumerated() {
                let cost = try agent.measure(.flood(volume / 2 / counts[index]))
                if isWarm { costs[index].append(cost.perByte) }
            }
        }
        for (index, count) in counts.enumerated() {
            let name = count == 1 ? "1 plugin" : "\(count) plugins"
            add("CPU per byte by plugins", name, "ns/byte", costs[index], floor: Self.naive)
        }
    }

    /// Many short measurements by turns: what else the machine does comes and goes within seconds. The first one warms up
    /// pages, caches and the windows of both ends.
    func byTurns(_ body: (_ isWarm: Bool) throws -> Void) throws {
        for repetition in 0...repetitions * 2 { try body(repetition > 0) }
    }

    mutating func compressions() throws {
        for coding in ["none", "snappy", "zstd", "gzip"] {
            let discard = try DiscardServer(rig)
            var records = 0
            discard.onRecord = { _ in records += 1 }
            let agent = try Subject.agent(rig, discard, Subject.AgentOptions(compression: coding))
            defer {
                agent.end()
                discard.close()
            }
            let load = Load.flood(coding == "none" ? volume / 2 : volume / 8)
            var costs: [Subject.Cost] = []
            var wire: [Double] = []
            for _ in 0..<min(3, repetitions) {
                let (before, sent) = (records, discard.networkBytes)
                costs.append(try agent.measure(load) { records - before >= load.records })
                wire.append(100 * Double(discard.networkBytes - sent) / Double(load.bytes))
            }
            let note = "\(Figures.digits(wire.sorted()[wire.count / 2])) % of the bytes on the wire"
            add("CPU per byte by compression", coding, "ns/byte", costs.map(\.perByte), floor: Self.naive, note: note)
        }
    }

    /// An agent with a discard server of its own, for the time of `body`.
    mutating func withAgent(
        _ options: Subject.AgentOptions = Subject.AgentOptions(),
        _ body: (inout Suite, Subject) throws -> Void
    ) throws {
        let discard = try DiscardServer(rig)
        let agent = try Subject.agent(rig, discard, options)
        defer {
            agent.end()
            discard.close()
        }
        try body(&self, agent)
    }
}

enum Figures {
    /// With one digit behind the point below ten.
    static func digits(_ value: Double) -> String {
        value < 10 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
    }
}
