// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// A server that is slow: plugins wait, the agent does nothing, nothing is lost.
extension Integration {
    @Suite struct BackPressure {
        @Test(arguments: ["none", "zstd"])
        func serverThatDoesNotRead(compression: String) throws {
            try Scenario.run { scenario in
                let writers = try (1...2).map { try scenario.addWriter("w\($0)", ["count": 200_000]) }
                let server = try scenario.startServer()
                // Nothing but the pipes is to be seen here: neither the spool nor PINGs.
                let agent = try scenario.startAgent([
                    "transfer": ["compression": compression],
                    "timeouts": ["spool_age": "1h", "confirm_ping": "1h"],
                ])
                try agent.wait(for: "plugin has been loaded", count: 2)
                try server.command("pause")
                // Once everything is full, a paused source causes no wakeup, however long it lasts; the one PING does.
                try agent.waitUntilQuiet()
                let switches = agent.status("voluntary_ctxt_switches") ?? 0
                sleep(2)
                #expect((agent.status("voluntary_ctxt_switches") ?? .max) - switches <= 3)
                #expect(writers.allSatisfy { $0.summary?.done != true }, "there was more to write than is kept")
                #expect(TestEnvironment.isSanitized || agent.peakMemory < 96 << 20)
                try server.command("resume")
                for writer in writers { _ = try writer.waitUntilDone(state: scenario.state) }
                let peak = agent.peakMemory
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                #expect(TestEnvironment.isSanitized || peak < 96 << 20)
                print("\(compression), paused server: peak \(peak >> 10) KiB")
            }
        }

        @Test func slowServer() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["count": 40_000])
                let server = try scenario.startServer(["-slow-bytes-per-second", "\(16 << 20)"])
                let agent = try scenario.startAgent()
                _ = try writer.waitUntilDone(state: scenario.state)
                try eventually("all records", state: scenario.state) {
                    try (server.stats().records == 40_000).asAnswer
                }
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
            }
        }
    }
}
