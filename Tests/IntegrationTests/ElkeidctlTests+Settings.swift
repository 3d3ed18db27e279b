// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

// `elkeidctl set` and `unset`: the file specified_env.
extension Integration.ControlTool {
    private static func file(_ scenario: Scenario) -> String { scenario.folder.path + "/specified_env" }

    /// The file holds what was set and what others have written there, and nothing else.
    @Test func setWritesTheFile() throws {
        try Scenario.run { scenario in
            try scenario.configure(["agent": ["id": "a"]], endpoints: ["127.0.0.1:1"])
            let file = Self.file(scenario)
            let tool = scenario.elkeidctl
            func expect(_ arguments: String..., content: String) throws {
                let answer = try tool.run(arguments)
                #expect(answer.exit == .code(0) && answer.output.isEmpty && answer.errors.isEmpty, "\(answer)")
                #expect(text(of: file) == content, "\(arguments)")
                #expect(mode(of: file) == 0o644)
            }
            try expect("set", "--idc", "east", content: "specified_idc = east\n")
            try expect(
                "set",
                "--idc=west",
                "--region",
                "default",
                content: "specified_idc = west\nspecified_region = default\n"
            )
            try expect(
                "set",
                "--id",
                "host-7",
                "--service_type",
                "sysvinit",
                content:
                    "specified_idc = west\nspecified_region = default\nservice_type = sysvinit\nspecified_id = host-7\n"
            )
            try expect(
                "unset",
                "--idc",
                content: "specified_region = default\nservice_type = sysvinit\nspecified_id = host-7\n"
            )
            try expect("unset", "--region", "--id", content: "service_type = sysvinit\n")
            try expect("unset", "--id", content: "service_type = sysvinit\n")
            #expect(
                try Set(FileManager.default.contentsOfDirectory(atPath: scenario.folder.path)) == [
                    "agent.conf", "specified_env", "work",
                ],
                "nothing is left behind"
            )
        }
    }

    @Test func setKeepsWhatOthersWrote() throws {
        try Scenario.run { scenario in
            try scenario.configure(["agent": ["id": "a"]], endpoints: ["127.0.0.1:1"])
            let file = Self.file(scenario)
            // Two lines of one key, of which the last counts, and no line feed at the end.
            let rest = "# specified_idc = old\nHTTP_PROXY=http://x\n\n"
            try write(rest + "specified_idc=1st\n! idc\nspecified_idc : 2nd\nSPECIFIED_AGENT_ID=b\nx", to: file)
            #expect(unsafe chmod(file, 0o600) == 0)
            let tool = scenario.elkeidctl
            #expect(try tool.run("set", "--idc", "east", "--id", "c").exit == .code(0))
            // A stronger name would hide the id that is set.
            #expect(text(of: file) == rest + "specified_idc = east\n! idc\nx\nspecified_id = c\n")
            #expect(mode(of: file) == 0o644)
            #expect(try tool.run("unset", "--idc", "--id").exit == .code(0))
            #expect(text(of: file) == rest + "! idc\nx\n")
        }
    }

    /// Readers see the old file or the new one, whole.
    @Test func setReplacesTheFileAtOnce() throws {
        try Scenario.run { scenario in
            try scenario.configure(endpoints: ["127.0.0.1:1"])
            let file = Self.file(scenario)
            let old = "specified_idc = east\n" + String(repeating: "# as long as it takes\n", count: 5000)
            try write(old, to: file)
            let reader = try #require(FileHandle(forReadingAtPath: file))
            #expect(try scenario.elkeidctl.run("set", "--idc", "west").exit == .code(0))
            #expect(try reader.readToEnd() == Data(old.utf8), "who had it open reads the old one")
            #expect(text(of: file).hasPrefix("specified_idc = west\n# as"))
            // What is set already is not written again.
            let before = try FileManager.default.attributesOfItem(atPath: file)[.systemFileNumber] as? Int
            #expect(try scenario.elkeidctl.run("set", "--idc", "west").exit == .code(0))
            #expect(try FileManager.default.attributesOfItem(atPath: file)[.systemFileNumber] as? Int == before)
        }
    }

    /// Nothing is written, not even what is right in the same command.
    @Test(arguments: [
        ["--service_type", "upstart"], ["--service_type", ""], ["--region", "nowhere"], ["--idc", "12"],
        ["--idc", "a=b"], ["--idc", "a\"b"], ["--idc", "a\nspecified_id = x"], ["--id", ""], ["--id", " a"],
        ["--id", "a b\\"], ["--idc", "east", "--region", "nowhere"], ["--idc", "east", "--service_type", "cron"],
        ["--idc", "east", "--nonsense"], ["--idc", "east", "west"],
    ])
    func setRefuses(_ options: [String]) throws {
        try Scenario.run { scenario in
            try scenario.configure(endpoints: ["127.0.0.1:1"])
            let first = try scenario.elkeidctl.run(["set"] + options)
            #expect(first.exit == .code(1) && first.output.isEmpty, "\(first)")
            #expect(first.errors.hasPrefix("Error: "), "\(first)")
            #expect(!FileManager.default.fileExists(atPath: Self.file(scenario)))
            try write("specified_idc = kept\n", to: Self.file(scenario))
            #expect(try scenario.elkeidctl.run(["set"] + options).exit == .code(1))
            #expect(text(of: Self.file(scenario)) == "specified_idc = kept\n")
        }
    }

    @Test(arguments: ["set", "unset"])
    func withoutOptionsTheyExplainThemselves(command: String) throws {
        try Scenario.run { scenario in
            try scenario.configure(endpoints: ["127.0.0.1:1"])
            let answer = try scenario.elkeidctl.run(command)
            #expect(answer.exit == .code(0) && answer.output.hasPrefix("usage: elkeidctl \(command) "), "\(answer)")
            #expect(!FileManager.default.fileExists(atPath: Self.file(scenario)))
        }
    }

    // MARK: With a running agent

    /// idc and region are in the next heartbeat, also when systemd has read the file into the environment before.
    @Test(arguments: [false, true])
    func takesEffectAtOnce(inEnvironment: Bool) throws {
        try Scenario.run { scenario in
            try write("specified_idc = first\nspecified_region = default\n", to: Self.file(scenario))
            let variables = inEnvironment ? ["specified_idc=first", "specified_region=default"] : []
            let server = try scenario.startServer()
            let other: Settings = ["region \"other\"": ["private": server.address], "agent": ["idc": "file"]]
            let agent = try scenario.startAgent(
                other,
                options: .init(environment: TestEnvironment.withoutProxies + variables)
            )
            try server.wait(for: "heartbeat")
            func change(_ arguments: String..., count: Int) throws {
                let answer = try scenario.elkeidctl.run(arguments)
                #expect(answer.exit == .code(0) && answer.errors.isEmpty, "\(answer)")
                try server.wait(for: "heartbeat", count: count)
            }
            try change("set", "--idc", "second", count: 2)
            try change("set", "--idc", "third", "--region", "other", count: 3)
            try change("unset", "--idc", count: 4)
            try change("unset", "--region", count: 5)
            func said(_ field: String) -> [String?] { server.events("heartbeat").map { $0["fields"][field].string } }
            #expect(said("idc") == ["first", "second", "third", "file", "file"])
            #expect(said("region") == ["default", "default", "other", "other", "default"])
            #expect(agent.problems == [])
            try agent.stop()
        }
    }

    /// The id that the server knows an agent by does not change while it runs.
    @Test(arguments: [false, true])
    func idTakesEffectAtTheNextStart(inEnvironment: Bool) throws {
        try Scenario.run { scenario in
            try write("specified_id = first\n", to: Self.file(scenario))
            let server = try scenario.startServer()
            func start(_ id: String) throws -> AgentRun {
                let variables = inEnvironment ? ["specified_id=\(id)"] : []
                return try scenario.startAgent(options: .init(environment: TestEnvironment.withoutProxies + variables))
            }
            let before = try start("first")
            try server.wait(for: "heartbeat")
            let answer = try scenario.elkeidctl.run("set", "--id", "second")
            #expect(answer.exit == .code(0) && answer.errors.isEmpty)
            #expect(answer.output.contains("elkeidctl restart"), "\(answer)")
            #expect(text(of: Self.file(scenario)) == "specified_id = second\n")
            #expect(try scenario.elkeidctl.run("status", "--json").json["id"].string == "first")
            #expect(try scenario.elkeidctl.run("set", "--idc", "east").exit == .code(0))
            try server.wait(for: "heartbeat", count: 2)
            try before.stop()
            let after = try start("second")
            let opened = try server.wait(for: "stream_opened", count: 2)
            #expect(opened.map { $0["agent_id"].string } == ["first", "second"])
            #expect(try scenario.elkeidctl.run("set", "--id", "second").output.isEmpty, "it has that id already")
            try after.stop()
        }
    }
}
