// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import Glibc
import Host

/// Makes the agent's own records: data types 1000 (heartbeat) and the answers to its tasks.
struct OwnRecords {
    static let heartbeat: Int32 = 1000

    let facts: HostFacts
    private(set) var network: NetworkFacts
    private let idc: String
    private let region: String
    private let arena = Arena(pool: SlabPool(slabSize: 16 << 10))
    private var hostSampler = HostSampler()
    private var processSampler = ProcessSampler(pid: getpid())

    init(facts: HostFacts, idc: String, region: String) {
        self.facts = facts
        self.idc = idc
        self.region = region
        network = NetworkFacts.current()
    }

    /// One 1000 record, of values taken now; `network` is renewed with it. The server pushes its configuration upon
    /// the first one of a stream.
    mutating func makeHeartbeat(problems: [String]) -> RecordBatch {
        network = NetworkFacts.current()
        var report = AgentReport()
        report.idc = idc
        report.region = region
        report.networkMode = "private"
        report.state = problems.isEmpty ? "running" : "abnormal"
        report.stateDetail = Self.jsonArray(problems)
        let fields = HeartbeatFields.agent(
            facts: facts,
            network: network,
            host: hostSampler.sample(),
            process: processSampler.sample(),
            report: report
        )
        var builder = RecordBuilder()
        builder.begin(dataType: Self.heartbeat, timestamp: Int64(time(nil)))
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

    private static func jsonArray(_ items: [String]) -> String {
        var text: [UInt8] = [0x5b]
        for (index, item) in items.enumerated() {
            if index > 0 { text.append(0x2c) }
            JSONString.append(item, to: &text)
        }
        text.append(0x5d)
        return String(decoding: text, as: UTF8.self)
    }
}
