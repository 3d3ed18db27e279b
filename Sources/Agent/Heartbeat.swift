// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import Glibc
import Host
import Plugins
import Transport

/// Makes the agent's own records: data types 1000 (heartbeat of the agent) and 1001 (of a plugin).
struct OwnRecords {
    static let heartbeat: Int32 = 1000
    static let pluginHeartbeat: Int32 = 1001
    private let arena = Arena(pool: SlabPool(slabSize: 16 << 10))

    let facts: HostFacts
    private(set) var network: NetworkFacts
    private let libraries: [HeartbeatField]
    private var hostSampler = HostSampler()
    private var processSampler = ProcessSampler(pid: getpid())
    private var rates = RateMeter()
    private var plugins: [String: PluginSampler] = [:]

    /// - Parameter libraries: what the agent is made of, name and version.
    init(facts: HostFacts, libraries: [HeartbeatField]) {
        self.facts = facts
        self.libraries = libraries
        network = NetworkFacts.current()
    }

    /// One 1000 record, of values taken now; `network` is renewed with it. The server pushes its configuration upon the
    /// first one of a stream.
    mutating func makeHeartbeat(_ report: AgentReport, traffic: TransferTraffic, ledger: Ledger) -> RecordBatch {
        network = NetworkFacts.current()
        var report = report
        report.traffic = rates.rates(
            received: (traffic.bytesReceived, traffic.commandsReceived),
            sent: (traffic.bytesSent, traffic.recordsSent)
        )
        let fields =
            HeartbeatFields.agent(
                facts: facts,
                network: network,
                host: hostSampler.sample(),
                process: processSampler.sample(),
                report: report
            ) + Self.ledgerFields(ledger) + libraries
        return record(Self.heartbeat, fields)
    }

    /// One 1001 record for each plugin that lives.
    mutating func makePluginHeartbeats(_ live: [Plugin], directorySize: (Plugin) -> UInt64) -> [RecordBatch] {
        let names = Set(live.map(\.name))
        for name in plugins.keys where !names.contains(name) { plugins[name] = nil }
        return live.compactMap { plugin in
            guard let pid = plugin.pid else { return nil }
            var sampler = plugins[plugin.name] ?? PluginSampler(pid: pid)
            if sampler.process.pid != pid { sampler.process = ProcessSampler(pid: pid) }
            let traffic = plugin.traffic
            let fields =
                HeartbeatFields.plugin(
                    name: plugin.name,
                    version: plugin.version,
                    process: sampler.process.sample(),
                    traffic: sampler.rates.rates(
                        received: (traffic.taskBytes, traffic.tasks),
                        sent: (traffic.recordBytes, traffic.records)
                    ),
                    directorySize: directorySize(plugin)
                ) + Self.ledgerFields(plugin.ledger) + [HeartbeatField("restarts", "\(plugin.restarts)")]
            plugins[plugin.name] = sampler
            return record(Self.pluginHeartbeat, fields)
        }
    }

    /// Names that no server knows, so that it keeps them without giving them a meaning.
    private static func ledgerFields(_ ledger: Ledger) -> [HeartbeatField] {
        [
            HeartbeatField("ledger_received", "\(ledger.received)"),
            HeartbeatField("ledger_confirmed", "\(ledger.confirmed)"),
            HeartbeatField("ledger_malformed", "\(ledger.malformed)"),
            HeartbeatField("ledger_queued", "\(ledger.queued + ledger.inFlight)"),
            HeartbeatField("ledger_spooled", "\(ledger.spooled)"),
            HeartbeatField("ledger_dropped", "\(ledger.droppedTotal)"),
            HeartbeatField("ledger_resent", "\(ledger.resent)"),
        ]
    }

    private func record(_ dataType: Int32, _ fields: [HeartbeatField]) -> RecordBatch {
        var builder = RecordBuilder()
        builder.begin(dataType: dataType, timestamp: Int64(time(nil)))
        for field in fields { builder.append(field.name, field.value) }
        return batch(builder)
    }

    func batch(_ builder: RecordBuilder) -> RecordBatch {
        var writer = WireWriter()
        builder.encode(into: &writer, framing: .packaged)
        var chain = BufferChain()
        unsafe arena.append(writer.bytes.span.bytes, to: &chain)
        return RecordBatch(encoded: chain, count: 1)
    }
}

/// What a plugin's heartbeat needs to remember of the one before.
private struct PluginSampler {
    var process: ProcessSampler
    var rates = RateMeter()

    init(pid: Int32) { process = ProcessSampler(pid: pid) }
}
