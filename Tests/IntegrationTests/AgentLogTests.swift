// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The local log, and what of it goes to the server.
extension Integration {
    @Suite struct AgentLog {
        /// Whole lines in compressed files that nobody else reads, no more of them than configured.
        @Test func rotates() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["agent": ["log_max_size": "4KiB", "log_max_files": "3"]])
                try server.wait(for: "heartbeat")
                let folder = scenario.folder.path + "/log"
                var seen = Set<String>()
                try eventually("six files put aside", seconds: 60, state: scenario.state) {
                    agent.signal(SIGUSR1)
                    seen.formUnion(try Self.aside(folder).filter { $0.hasSuffix(".log.gz") })
                    return (seen.count >= 6).asAnswer
                }
                try eventually("all compressed, and three left", state: scenario.state) {
                    let names = try Self.aside(folder)
                    return (names.count == 3 && names.allSatisfy { $0.hasSuffix(".log.gz") }).asAnswer
                }
                let names = try Self.aside(folder)
                for name in names + ["elkeid-agent.log"] {
                    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
                    #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600, "\(name)")
                    #expect((attributes[.size] as? NSNumber)?.intValue ?? .max < 2 * 4096, "\(name)")
                }
                for name in names {
                    let lines = try ChildProcess.output(of: ["/usr/bin/env", "gzip", "-dc", "\(folder)/\(name)"])
                    #expect(lines.utf8.count >= 4096 && lines.hasSuffix("\n"), "\(name)")
                    #expect(lines.split(separator: "\n").allSatisfy { $0.contains("\t") }, "\(name)")
                }
                try agent.stop()
            }
        }

        private static func aside(_ folder: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0 != "elkeid-agent.log" }
        }

        /// The same text four times a minute at most, and a count of what was left out.
        @Test func errorsGoToTheServerSampled() throws {
            try Scenario.run { scenario in
                let missing = try scenario.addWriter("missing")
                try FileManager.default.removeItem(atPath: missing.file("missing"))
                let server = try scenario.startServer()
                try server.command("refuse", ["on": true])
                let agent = try scenario.startAgent(["timeouts": ["reconnect_min": "10ms", "reconnect_max": "10ms"]])
                let failure = "cannot use \(server.address): "
                try agent.wait(for: failure, count: 20)
                try server.command("refuse", ["on": false])
                let reports = try eventually("a report about the missing plugin", state: scenario.state) {
                    let reports = server.events("record").filter { $0["data_type"].int == 1010 }
                    return reports.contains { $0["fields"]["plugin"].string == "missing" } ? reports : nil
                }
                try agent.stop()
                let repeated = reports.filter { $0["fields"]["msg"].string?.hasPrefix(failure) == true }
                let texts = Set(agent.messages(with: failure))
                #expect(repeated.count <= 4 * texts.count, "\(repeated.count) of \(texts)")
                #expect(repeated.count >= 4)
                for report in reports {
                    #expect(report["fields"]["level"].string == "error")
                    #expect(report["fields"]["source"].string?.contains(".swift:") == true)
                }
                // Each line was sent or counted; those after the last report belong to the next one.
                let suppressed = reports.compactMap { Int($0["fields"]["suppressed"].string ?? "") }.reduce(0, +)
                #expect(suppressed > 0 && reports.count + suppressed <= agent.log.count { $0.level == "ERROR" })
            }
        }
    }
}
