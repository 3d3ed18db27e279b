// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Records of real plugin processes reach a grpc-go server: all, once, in order.
extension Integration {
    @Suite(.alone) struct Pipeline {
        static let seconds = TestEnvironment.isSoak ? 60 : 2
        static let rate = 20_000
        /// The outbox's 16 MiB, twice for what is in messages, and the program itself.
        static let memoryLimit = 96 << 20

        @Test(arguments: ["none", "snappy", "gzip", "zstd"])
        func steadyStream(compression: String) throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter(
                    "writer",
                    settings(["rate": Self.rate, "count": Self.rate * Self.seconds])
                )
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["transfer": ["compression": compression]])
                let summary = try writer.waitUntilDone(seconds: Double(Self.seconds) * 2 + 20, state: scenario.state)
                let peak = agent.peakMemory
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                let stats = try server.stats()
                #expect(stats.records == Self.rate * Self.seconds)
                #expect(stats.encoding == (compression == "none" ? "identity" : compression))
                #expect((stats.compressedMessages > 0) == (compression != "none"))
                expectBounded(peak)
                print("\(compression): \(stats.records) records in \(summary.seconds) s, peak \(peak >> 10) KiB")
            }
        }

        @Test(arguments: ["none", "snappy", "gzip", "zstd"])
        func flatOutFromFourPlugins(compression: String) throws {
            try Scenario.run { scenario in
                let seconds = TestEnvironment.isSoak ? 20 : 2
                for index in 1...4 { try scenario.addWriter("w\(index)", settings(["seconds": seconds])) }
                let server = try scenario.startServer(["-fast"])
                let agent = try scenario.startAgent(["transfer": ["compression": compression]])
                for plugin in scenario.plugins {
                    _ = try plugin.waitUntilDone(seconds: Double(seconds) * 3 + 20, state: scenario.state)
                }
                let peak = agent.peakMemory
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                expectBounded(peak)
                let rates = scenario.plugins.compactMap(\.summary).map { Double($0.records) / $0.seconds }
                print("\(compression), four plugins: \(Int(rates.reduce(0, +))) records/s, peak \(peak >> 10) KiB")
            }
        }

        /// SIGTERM while four plugins write as fast as they can: what they wrote until they saw the end is delivered.
        @Test func stopUnderFullLoad() throws {
            try Scenario.run { scenario in
                for index in 1...4 { try scenario.addWriter("w\(index)", settings(["seconds": 600])) }
                let server = try scenario.startServer(["-fast"])
                let agent = try scenario.startAgent()
                try eventually("records of all four", state: scenario.state) {
                    try (server.stats().lanes.values.count { $0.count > 20_000 } == 4).asAnswer
                }
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
            }
        }

        /// Shapes that are legal and that no generated code produces, in writes of odd sizes.
        @Test(arguments: [1, 3, 1000, 70_000])
        func oddShapesInOddWrites(chunk: Int) throws {
            try Scenario.run { scenario in
                let count = chunk < 100 ? 260 : 20_800
                let writer = try scenario.addWriter(
                    "odd",
                    ["mode": "odd", "count": count, "chunk": chunk, "seed": chunk]
                )
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                #expect(try server.stats().records == count)
            }
        }

        @Test func urgentPipe() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["count": 50_000, "high_priority_every": 10])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["plugins": ["high_priority_pipe": "on"]])
                _ = try writer.waitUntilDone(state: scenario.state)
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                #expect(try server.stats().lanes["writer-high"] == .complete(5_000))
            }
        }

        private func settings(_ more: [String: Any]) -> [String: Any] {
            more.merging(["record_size": 600]) { $1 }
        }

        private func expectBounded(_ peak: Int, sourceLocation: SourceLocation = #_sourceLocation) {
            if TestEnvironment.isSanitized { return }
            #expect(peak < Self.memoryLimit, sourceLocation: sourceLocation)
        }
    }
}
