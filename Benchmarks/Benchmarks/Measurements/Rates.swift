// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Histogram

// What the agent costs, and how late records are, when plugins do not write as fast as they can.
extension Suite {
    struct Rate {
        let name: String
        /// Records in one write, and nanoseconds between two; nil: flat out.
        let burst: Int
        let interval: Int
        var perSecond: Int { interval == 0 ? 0 : burst * 1_000_000_000 / interval }
    }

    private static let rates = pacedRates + [Rate(name: "flat out", burst: 0, interval: 0)]

    static let pacedRates = [
        Rate(name: "100/s", burst: 1, interval: 10_000_000),
        Rate(name: "1,000/s in 1 ms writes", burst: 1, interval: 1_000_000),
        Rate(name: "20,000/s in 1 ms writes", burst: 20, interval: 1_000_000),
        Rate(name: "200,000/s in 1 ms writes", burst: 200, interval: 1_000_000),
    ]

    static func latencyGroup(_ linger: String) -> String { "Latency to the server, linger \(linger)" }

    mutating func pacedLoads() throws {
        try pacedFloor()
        for linger in ["100ms", "0s"] {
            let discard = try DiscardServer(rig)
            let agent = try Subject.agent(rig, discard, Subject.AgentOptions(linger: linger))
            defer {
                agent.end()
                discard.close()
            }
            for rate in Self.rates { try measure(rate, linger, agent, discard) }
        }
    }

    /// What the floor costs that is woken by each write, as every program is that simply reads.
    private mutating func pacedFloor() throws {
        let plain = try PlainSink(rig)
        let gathered = try floor("gathered", plain)
        defer {
            gathered.end()
            plain.close()
        }
        for rate in Self.pacedRates {
            let load = Load(records: rate.perSecond * pacedSeconds / 2, burst: rate.burst, interval: rate.interval)
            let cost = try gathered.measure(load)
            let note = "\(Figures.digits(cost.share)) % of a core"
            add("CPU at a rate, \(Self.gathered)", rate.name, "µs/record", [cost.perRecord / 1000], note: note)
        }
    }

    private mutating func measure(_ rate: Rate, _ linger: String, _ agent: Subject, _ discard: DiscardServer) throws {
        var latencies = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
        var arrived = 0
        discard.onRecord = { stamp in
            arrived += 1
            latencies.record(UInt64(max(0, Int64(wallTime() / 1000) - stamp)))
        }
        defer { discard.onRecord = nil }
        let count = rate.interval == 0 ? volume / 604 : rate.perSecond * pacedSeconds
        let load = Load(records: count, burst: rate.burst, interval: rate.interval, isStamped: true)
        let cost = try agent.measure(load) { arrived >= count }
        if rate.interval > 0 {
            let group = "CPU at a rate, linger \(linger)"
            add(
                group,
                rate.name,
                "µs/record",
                [cost.perRecord / 1000],
                note: "\(Figures.digits(cost.share)) % of a core"
            )
        }
        let group = Self.latencyGroup(linger)
        for (name, percentile) in [("p50", 50.0), ("p90", 90), ("p99", 99), ("p99.9", 99.9)] {
            let value = Double(latencies.valueAtPercentile(percentile)) / 1000
            add(group, "\(rate.name), \(name)", "ms", [value])
        }
        add(group, "\(rate.name), mean", "ms", [latencies.mean / 1000])
        add(group, "\(rate.name), max", "ms", [Double(latencies.max) / 1000])
    }
}
