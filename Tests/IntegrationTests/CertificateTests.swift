// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Certificates that must do, and those that must not.
extension Integration {
    @Suite struct Certificates {
        @Test(arguments: [CertificateSet.elkeid, .ordinary, .ordinaryEC], ["1.2", "1.3"])
        func connects(with set: CertificateSet, version: String) throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer(["-min-tls", version, "-max-tls", version], certificates: set)
                let agent = try scenario.startAgent(certificates: try ClientCertificates(set))
                try server.wait(for: "stream_opened")
                try agent.wait(for: "get connection successfully")
                let connections = server.events("connection")
                #expect(connections.count == 1)
                #expect(connections.first?["tls"].string == version)
                #expect(connections.first?["alpn"].string == "h2")
                #expect(agent.problems == [])
                try agent.stop()
            }
        }

        struct Refusal: CustomTestStringConvertible, Sendable {
            var what: String
            var server = CertificateSet.ordinary
            var arguments: [String] = []
            var client = CertificateSet.ordinary
            var trusting: CertificateSet?
            /// Changes the client's files, which are copies of its own in the folder given.
            var prepare: @Sendable (_ folder: String) throws -> Void = { _ in }
            /// In the one line that each attempt logs.
            var reason: String
            var testDescription: String { what }
        }

        static let refusals = [
            Refusal(what: "server of an unknown authority", server: .stranger, reason: "certificate"),
            Refusal(what: "server with another name", server: .wrongName, reason: "elkeid.com"),
            Refusal(what: "server's certificate expired", server: .expired, reason: "expired"),
            Refusal(what: "server's certificate is not valid yet", server: .notYetValid, reason: "not yet valid"),
            Refusal(
                what: "client of an unknown authority",
                client: .stranger,
                trusting: .ordinary,
                reason: "alert"
            ),
            Refusal(what: "client's certificate expired", client: .expired, reason: "alert"),
            Refusal(
                what: "no client key",
                prepare: { try FileManager.default.removeItem(atPath: $0 + "/client.key") },
                reason: "client.key: No such file"
            ),
            Refusal(
                what: "no client certificate",
                prepare: { try FileManager.default.removeItem(atPath: $0 + "/client.crt") },
                reason: "client.crt: No such file"
            ),
            Refusal(
                what: "no authority",
                prepare: { try FileManager.default.removeItem(atPath: $0 + "/ca.crt") },
                reason: "ca.crt: No such file"
            ),
            Refusal(
                what: "key of another certificate",
                prepare: { try write(text(of: CertificateSet.stranger.file("client.key")), to: $0 + "/client.key") },
                reason: "client.key"
            ),
            Refusal(
                what: "garbage for an authority",
                prepare: { try write("garbage\n", to: $0 + "/ca.crt") },
                reason: "ca.crt"
            ),
            Refusal(what: "plain-text port", arguments: ["-plain"], reason: "TLS"),
            Refusal(what: "server without h2", arguments: ["-no-h2"], reason: "HTTP/2"),
        ]

        /// Each attempt logs one line that says why; attempts are as far apart as the configuration says.
        @Test(arguments: refusals)
        func refuses(_ refusal: Refusal) throws {
            try Scenario.run { scenario in
                let files = try Self.copy(refusal.client, trusting: refusal.trusting, into: scenario.folder.path)
                try refusal.prepare(scenario.folder.path + "/certificates")
                let server = try scenario.startServer(refusal.arguments, certificates: refusal.server)
                let agent = try scenario.startAgent(certificates: files)
                try agent.wait(for: "cannot use \(server.address): ", count: 4)
                try agent.stop()
                expectAttempts(agent, refused: refusal.reason)
                #expect(server.events("stream_opened").count == 0)
            }
        }

        /// A file that was missing is found at the next attempt, without a restart.
        @Test(arguments: ["ca.crt", "client.crt", "client.key"])
        func findsMendedFiles(missing name: String) throws {
            try Scenario.run { scenario in
                let files = try Self.copy(.ordinary, trusting: nil, into: scenario.folder.path)
                let path = scenario.folder.path + "/certificates/" + name
                let content = text(of: path)
                try FileManager.default.removeItem(atPath: path)
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(certificates: files)
                try agent.wait(for: "cannot use \(server.address): ", count: 2)
                try write(content, to: path)
                try server.wait(for: "stream_opened")
                try agent.stop()
            }
        }

        private static func copy(
            _ set: CertificateSet,
            trusting authority: CertificateSet?,
            into folder: String
        ) throws -> ClientCertificates {
            let place = folder + "/certificates"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            var files = try ClientCertificates(set, trusting: authority)
            for path in [\ClientCertificates.authority, \.certificate, \.key] {
                let name = URL(filePath: files[keyPath: path]).lastPathComponent
                try write(text(of: files[keyPath: path]), to: place + "/" + name)
                files[keyPath: path] = place + "/" + name
            }
            return files
        }
    }
}

/// Every attempt ended in exactly one line, which names `reason`; every attempt but the first came after a pause.
func expectAttempts(
    _ agent: AgentRun,
    refused reason: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let problems = agent.problems
    #expect(
        problems.filter { !$0.contains(reason) } == [],
        "every line names \"\(reason)\"",
        sourceLocation: sourceLocation
    )
    let pauses = agent.messages(with: "next attempt in ").count
    // The last pause may not have begun when the agent was stopped.
    #expect(
        (problems.count - 1...problems.count).contains(pauses),
        "a pause for each line",
        sourceLocation: sourceLocation
    )
    if let first = problems.first { print(first) }
}
