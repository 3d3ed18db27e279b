// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport

// How the cost depends on what is written: record sizes, numbers of plugins, compression.
extension Suite {
    private static let sizes = [100, 250, 600, 4096, 65536, 1 << 20]

    mutating func recordSizes() throws {
        let group = "CPU per byte by record size"
        try withAgent { suite, agent in
            for size in Self.sizes {
                let costs = try suite.repeated(agent, .flood(suite.volume / 2, size: size))
                suite.add(group, Self.sizeName(size), "ns/byte", costs.map(\.perByte), floor: Self.naive)
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
        for count in [1, 4, 16, 50] {
            try withAgent(Subject.AgentOptions(plugins: count)) { suite, agent in
                let costs = try suite.repeated(agent, .flood(suite.volume / count))
                let name = count == 1 ? "1 plugin" : "\(count) plugins"
                suite.add("CPU per byte by plugins", name, "ns/byte", costs.map(\.perByte), floor: Self.naive)
            }
        }
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

    /// The costs of `load` again and again, the first left out.
    func repeated(_ subject: Subject, _ load: Load) throws -> [Subject.Cost] {
        _ = try subject.measure(load)
        return try (0..<min(3, repetitions)).map { _ in try subject.measure(load) }
    }
}

enum Figures {
    /// With one digit behind the point below ten.
    static func digits(_ value: Double) -> String {
        value < 10 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
    }
}
