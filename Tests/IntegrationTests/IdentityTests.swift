// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The id under which the server knows this host.
extension Integration {
    @Suite struct Identity {
        /// By the original agent's rules, as Python applies them to this host; kept where operators look for it, anew at
        /// every start.
        @Test func identityIsThatOfThisHost() throws {
            try Scenario.run { scenario in
                let file = scenario.folder.path + "/work/machine-id"
                try write("3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", to: file)
                _ = unsafe chmod(file, 0o644)
                let computed = try ChildProcess.output(
                    of: [TestEnvironment.python(), Repository.facts + "/identity.py"],
                    input: "\n"
                )
                // Where nothing tells this host from others, the id of an earlier start is its id.
                let expected = computed == "random\n" ? text(of: file) : computed.trimmingCharacters(in: .newlines)
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                let opened = try server.wait(for: "stream_opened")
                #expect(opened.first?["agent_id"].string == expected)
                #expect(text(of: file) == expected)
                let attributes = try FileManager.default.attributesOfItem(atPath: file)
                #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
                try agent.stop()
            }
        }

        /// A specified id goes to the server, and is not left for a start without it.
        @Test func specifiedIdentityWins() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let environment = ["PATH=/usr/bin:/bin", "SPECIFIED_AGENT_ID=host-7 of the rack"]
                let agent = try scenario.startAgent(options: .init(environment: environment))
                let opened = try server.wait(for: "stream_opened")
                #expect(opened.first?["agent_id"].string == "host-7 of the rack")
                #expect(!FileManager.default.fileExists(atPath: scenario.folder.path + "/work/machine-id"))
                try agent.stop()
            }
        }
    }
}
