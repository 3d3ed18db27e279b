// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

// An agent runs, or should.
extension Integration.Doctor {
    /// Nothing is wrong, and the server has noticed nothing but a connection without a call.
    @Test func everythingIsRight() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(Self.settings)
            try agent.wait(for: "get connection successfully")
            let diagnosis = try scenario.elkeidctl.doctor()
            #expect(diagnosis.exit == .code(0), "\(diagnosis)")
            #expect(diagnosis.report.verdict == "ok")
            #expect(diagnosis.report.bad == [] && diagnosis.report.warnings == [], "\(diagnosis)")
            let steps = diagnosis.report.findings.filter { $0.subject == "server \(server.address) (private)" }
            #expect(steps.map(\.step) == ["TCP", "TLS", "HTTP/2", "gRPC"], "\(diagnosis)")
            #expect(steps.allSatisfy { $0.verdict == "ok" })
            #expect(steps.last?.text.contains(server.address) == true)
            #expect(steps.first { $0.step == "TLS" }?.text.contains("until 2089-01-01") == true, "\(diagnosis)")
            try server.wait(for: "connection", count: 2)
            #expect(server.events("stream_opened").count == 1)
            #expect(server.events("stream_refused").count == 0 && server.events("overlap").count == 0)
            let text = try scenario.elkeidctl.run("doctor", "--timeout", "2")
            #expect(text.exit == .code(0))
            #expect(text.lines.last == "nothing is wrong")
            #expect(!text.output.contains("\u{1b}"), "no colours but on a terminal")
            try agent.stop()
        }
    }

    @Test func warningsOnly() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let dead = try deadEndpoints(1)
            let settings = region(discovery: dead, private: [server.address])
            let agent = try scenario.startAgent(Self.with(settings))
            try agent.wait(for: "get connection successfully")
            let diagnosis = try scenario.elkeidctl.doctor()
            #expect(diagnosis.exit == .code(2), "\(diagnosis)")
            #expect(diagnosis.report.verdict == "warning")
            #expect(diagnosis.report.bad == [] && diagnosis.report.warnings == ["discovery: refused"], "\(diagnosis)")
            let text = try scenario.elkeidctl.run("doctor", "--timeout", "2")
            let last = try #require(text.lines.last)
            #expect(text.exit == .code(2))
            #expect(last.hasPrefix("0 wrong, 1 to be looked at; first: service discovery \(dead[0]): TCP: "), "\(last)")
            try agent.stop()
        }
    }

    /// The text's last line has the first thing that is wrong, as the lines before it have everything.
    @Test func lastLineNamesTheFirstCause() throws {
        try Scenario.run { scenario in
            let files = try scenario.copy(ClientCertificates(.ordinary))
            let dead = try deadEndpoints(1)[0]
            let agent = try scenario.startAgent(Self.settings, endpoints: [dead], certificates: files)
            try agent.wait(for: "cannot use \(dead)")
            let first = try scenario.elkeidctl.run("doctor", "--timeout", "2")
            #expect(first.exit == .code(1))
            #expect(
                first.lines.last?.hasPrefix("1 wrong, 0 to be looked at; first: server \(dead) (private): TCP: ")
                    == true,
                "\(first)"
            )
            #expect(first.lines.contains("server \(dead) (private)"))
            for words in ["BAD   TCP", "→ nothing listens there"] { #expect(first.output.contains(words), "\(first)") }
            try FileManager.default.removeItem(atPath: files.key)
            let second = try scenario.elkeidctl.run("doctor", "--timeout", "2")
            #expect(
                second.lines.last?.contains("wrong, 0 to be looked at; first: files: key: \(files.key) is missing")
                    == true,
                "\(second)"
            )
            try agent.stop()
        }
    }

    /// Offline it looks no further than this host.
    @Test func offline() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            try scenario.configure(Self.settings, endpoints: [server.address])
            let diagnosis = try scenario.elkeidctl.doctor("--offline")
            diagnosis.expect(bad: [Self.down])
            #expect(!diagnosis.report.findings.contains { $0.subject.hasPrefix("server") })
            #expect(server.events("connection").count == 0)
        }
    }

    // MARK: An agent that does not answer

    /// It has the id at the server still: a call by the doctor would be a conflict of the doctor's making.
    @Test func hungAgent() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(Self.settings)
            try agent.wait(for: "get connection successfully")
            agent.signal(SIGSTOP)
            try eventually("the agent to be stopped") {
                text(of: "/proc/\(agent.pid)/status").contains("State:\tT").asAnswer
            }
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: ["service: hangs"])
            #expect(server.events("stream_refused").count == 0)
            agent.signal(SIGCONT)
            try agent.stop()
        }
    }

    /// The agent runs, and its socket is gone.
    @Test func lostControlSocket() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(Self.settings)
            try agent.wait(for: "get connection successfully")
            try FileManager.default.removeItem(atPath: scenario.folder.path + "/socket")
            let diagnosis = try scenario.elkeidctl.doctor()
            diagnosis.expect(bad: ["service: control_socket"])
            let finding = diagnosis.report.finding("service", "agent")
            #expect(finding?.text.contains("pid \(agent.pid)") == true, "\(diagnosis)")
            #expect(server.events("stream_refused").count == 0)
            try agent.stop()
        }
    }

    /// It was killed: what it left behind is no agent.
    @Test func killedAgent() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(Self.settings)
            try agent.wait(for: "get connection successfully")
            agent.signal(SIGKILL)
            #expect(try agent.waitForExit() == .signal(SIGKILL))
            try server.wait(for: "stream_ended")
            try scenario.elkeidctl.doctor().expect(bad: [Self.down])
        }
    }

    // MARK: Another agent is in the way

    /// A clone: the server has an agent with this id, and no room for a third, by its own rules.
    @Test(arguments: ["id_conflict", "server_full"])
    func anotherAgent(cause: String) throws {
        try Scenario.run { other in
            let server = try other.startServer(["-max-conns", "1"])
            let id = cause == "id_conflict" ? "doctor-test" : "another"
            let agent = try other.startAgent(["agent": ["id": id]])
            try agent.wait(for: "get connection successfully")
            try Scenario.run { scenario in
                try scenario.configure(Self.settings, endpoints: [server.address])
                try scenario.elkeidctl.doctor().expect(bad: [Self.down, "server: \(cause)"])
            }
            #expect(server.events("stream_ended").count == 0)
            try agent.stop()
        }
    }

    /// What the running agent is told by the server is what the doctor tells.
    @Test(arguments: [("-conflict", "id_conflict"), ("-full", "server_full")])
    func refusedAgent(argument: String, cause: String) throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer([argument])
            let agent = try scenario.startAgent(Self.settings)
            try server.wait(for: "stream_refused", count: 2)
            let diagnosis = try scenario.elkeidctl.doctor()
            #expect(diagnosis.report.bad.contains("server: \(cause)"), "\(diagnosis)")
            #expect(diagnosis.exit == .code(1))
            try agent.stop()
        }
    }
}
