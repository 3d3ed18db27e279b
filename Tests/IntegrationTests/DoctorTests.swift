// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// `elkeidctl doctor` names what is wrong, whatever it is. Here no agent runs, which it names as well.
extension Integration {
    @Suite struct Doctor {
        static let down = "service: not_running"
        /// Every configuration here has an id of its own: on a host that nothing tells from others there is a warning.
        static let settings: Settings = ["agent": ["id": "doctor-test"], "spool": ["disk": "16MiB"]]

        static func with(_ more: Settings) -> Settings {
            settings.merging(more) { $0.merging($1) { _, given in given } }
        }

        struct Trouble: CustomTestStringConvertible, Sendable {
            var what: String
            /// What is wrong besides that no agent runs.
            var causes: Set<String>
            /// In the text of one of these findings.
            var says: String?
            var server: [String]? = []
            var serverCertificates = CertificateSet.ordinary
            var client = CertificateSet.ordinary
            var settings: @Sendable (Scenario) throws -> Settings = { _ in [:] }
            /// Changes the client's files, which are copies of its own.
            var spoil: @Sendable (ClientCertificates) throws -> Void = { _ in }
            var testDescription: String { what }
        }

        @Test(arguments: Self.ofServers + Self.ofTheWay + Self.ofFiles)
        func names(_ trouble: Trouble) throws {
            try Scenario.run { scenario in
                let files = try scenario.copy(ClientCertificates(trouble.client, trusting: .ordinary))
                let settings = try trouble.settings(scenario)
                var endpoints: [String] = []
                if let arguments = trouble.server {
                    endpoints = [try scenario.startServer(arguments, certificates: trouble.serverCertificates).address]
                }
                try scenario.configure(Self.with(settings), endpoints: endpoints, certificates: files)
                try trouble.spoil(files)
                let diagnosis = try scenario.elkeidctl.doctor()
                diagnosis.expect(bad: trouble.causes.union([Self.down]))
                guard let words = trouble.says else { return }
                let named = diagnosis.report.all("bad").filter { trouble.causes.contains($0.name) }
                #expect(named.contains { $0.text.contains(words) }, "\(diagnosis)")
            }
        }

        // MARK: What the server does

        private static let ofServers = [
            Trouble(what: "nothing", causes: []),
            Trouble(
                what: "wrong authority",
                causes: ["server: wrong_ca"],
                says: "server for elkeid.com",
                serverCertificates: .stranger
            ),
            Trouble(
                what: "wrong name",
                causes: ["server: wrong_name"],
                says: "other.example, not for elkeid.com",
                serverCertificates: .wrongName
            ),
            Trouble(
                what: "server's certificate expired",
                causes: ["server: certificate_expired"],
                says: "2021-01-01",
                serverCertificates: .expired
            ),
            Trouble(
                what: "server's certificate is not valid yet",
                causes: ["server: clock"],
                says: "2090-01-01",
                serverCertificates: .notYetValid
            ),
            Trouble(
                what: "certificate of an unknown client",
                causes: ["server: certificate_refused"],
                says: "does not accept",
                client: .stranger
            ),
            Trouble(
                what: "client's certificate expired",
                causes: ["certificates: certificate_expired", "server: certificate_refused"],
                says: "2021-01-01",
                client: .expired
            ),
            Trouble(
                what: "client's certificate is not valid yet",
                causes: ["certificates: clock", "server: certificate_refused"],
                says: "2090-01-01",
                client: .notYetValid
            ),
            Trouble(what: "no h2", causes: ["server: no_h2"], server: ["-no-h2"]),
            Trouble(what: "no TLS", causes: ["server: not_tls"], server: ["-plain"]),
            Trouble(what: "silence after TCP", causes: ["server: tls_silence"], server: ["-bad", "silent-tcp"]),
            Trouble(what: "silence after TLS", causes: ["server: no_http2"], server: ["-bad", "silent"]),
            Trouble(what: "HTTP/1 after TLS", causes: ["server: no_http2"], server: ["-bad", "http1"]),
            Trouble(
                what: "server full",
                causes: ["server: server_full"],
                says: "out of max connection limit",
                server: ["-full"]
            ),
            Trouble(
                what: "id conflict",
                causes: ["server: id_conflict"],
                says: "agentID conflict",
                server: ["-conflict"]
            ),
            Trouble(
                what: "another gRPC status",
                causes: ["server: grpc_status"],
                says: "RESOURCE_EXHAUSTED",
                server: ["-bad", "status-exhausted"]
            ),
            Trouble(
                what: "an HTTP status",
                causes: ["server: grpc_status"],
                says: "503",
                server: ["-bad", "http-503"]
            ),
        ]
    }
}
