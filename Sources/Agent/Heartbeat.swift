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
    let idc: String
    let region: String
    private let arena = Arena(pool: SlabPool(slabSize: 16 << 10))
    private let startTime = Int64(time(nil))

    init(facts: HostFacts, idc: String, region: String) {
        self.facts = facts
        self.idc = idc
        self.region = region
    }

    /// One 1000 record. The server pushes its configuration upon the first one of a stream.
    func makeHeartbeat(problems: [String]) -> RecordBatch {
        var builder = RecordBuilder()
        builder.begin(dataType: Self.heartbeat, timestamp: Int64(time(nil)))
        builder.append("kernel_version", facts.kernelVersion)
        builder.append("arch", facts.architecture)
        builder.append("platform", facts.platform)
        builder.append("platform_family", facts.platformFamily)
        builder.append("platform_version", facts.platformVersion)
        builder.append("state", problems.isEmpty ? "running" : "abnormal")
        builder.append("state_detail", Self.jsonArray(problems))
        builder.append("idc", idc)
        builder.append("region", region)
        builder.append("net_mode", "private")
        builder.append("pid", "\(getpid())")
        builder.append("start_time", "\(startTime)")
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
