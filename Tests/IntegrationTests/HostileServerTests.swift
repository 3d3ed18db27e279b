// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Testing

/// Servers that answer wrongly in every way that interop-server knows: the agent says so in one line, closes, and
/// comes back after a pause.
extension Integration {
    @Suite struct HostileServers {
        struct Mode: CustomTestStringConvertible, Sendable {
            var name: String
            /// In the one line that each attempt logs.
            var reason: String
            init(_ name: String, _ reason: String) {
                self.name = name
                self.reason = reason
            }
            var testDescription: String { name }
        }

        static let modes = [
            // Messages.
            Mode("malformed-command", "a malformed Command"),
            Mode("garbage-framing", "compressed flag 165"),
            Mode("undeclared-compression", "announced no compression"),
            Mode("unknown-encoding", "lzma"),
            Mode("garbage-gzip", "a compressed message that cannot be read"),
            Mode("garbage-snappy", "a compressed message that cannot be read"),
            Mode("garbage-zstd", "a compressed message that cannot be read"),
            Mode("truncated-gzip", "a compressed message that cannot be read"),
            Mode("bomb-gzip", "the limit is 10485760"),
            Mode("announced-11MiB", "a message of at least 11534336 bytes"),
            Mode("announced-4GiB", "a message of at least 4294967295 bytes"),
            Mode("oversized-command", "the limit is 10485760"),
            Mode("truncated-message", "before the end of a message"),
            Mode("end-inside-message-start", "before the end of a message"),
            // Statuses.
            Mode("status-unimplemented", "UNIMPLEMENTED: grpc: Decompressor is not installed"),
            Mode("status-exhausted", "RESOURCE_EXHAUSTED: grpc: received message larger than max"),
            Mode("status-unavailable", "UNAVAILABLE: 100% 忙"),
            Mode("status-absent", "grpc-status"),
            Mode("status-nonsense", "\"seven\""),
            Mode("http-503", "HTTP status 503"),
            Mode("http-html", "text/html"),
            Mode("data-end-stream", "without a status"),
            // HTTP/2.
            Mode("rst-stream", "INTERNAL_ERROR"),
            Mode("rst-refused", "REFUSED_STREAM"),
            Mode("goaway-pings", "too_many_pings"),
            Mode("goaway-unprocessed", "GOAWAY"),
            Mode("close-after-headers", "closed the connection"),
            Mode("huge-frame", "HTTP/2"),
            Mode("garbage-hpack", "HTTP/2"),
            Mode("window-overflow", "HTTP/2"),
            Mode("data-before-headers", "HTTP/2"),
            Mode("flood-settings", "HTTP/2"),
            // Not even that.
            Mode("http1", "HTTP/2"),
            Mode("garbage", "HTTP/2"),
            Mode("close-at-once", "closed the connection"),
            Mode("silent-tcp", "no answer in time"),
        ]

        @Test(arguments: modes)
        func isSurvived(_ mode: Mode) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer(["-bad", mode.name])
                let agent = try scenario.startAgent(["timeouts": ["connect": "300ms", "tls_handshake": "300ms"]])
                try server.wait(for: "hostile", count: 4)
                try agent.wait(for: mode.reason, count: 3)
                try agent.stop()
                expectAttempts(agent, refused: mode.reason)
                #expect(server.events("hostile").count <= agent.problems.count + 1)
                if TestEnvironment.isSanitized { return }
                #expect(agent.peakMemoryAtEnd < 96 << 20)
            }
        }

        /// The raw server itself is not what the agent objects to; and 9 MiB are legal.
        @Test(arguments: ["none", "large-command"])
        func legalAnswersAreTaken(mode: String) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer(["-bad", mode])
                let agent = try scenario.startAgent()
                try agent.wait(for: "get connection successfully")
                if mode == "large-command" { try agent.wait(for: "task 0 for nobody failed: there is no such plugin") }
                #expect(server.events("hostile").count == 1)
                #expect(server.events("hostile_closed").count == 0)
                #expect(agent.problems.count == (mode == "large-command" ? 1 : 0))
                #expect(agent.isRunning)
            }
        }

        /// TLS, and then nothing: no reason to fail, and none to do anything; and no reason not to stop.
        @Test func silenceIsNoReasonToSpin() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer(["-bad", "silent"])
                let agent = try scenario.startAgent()
                try server.wait(for: "hostile")
                try agent.waitUntilQuiet()
                #expect(server.events("hostile").count == 1)
                try agent.stop()
            }
        }
    }
}
