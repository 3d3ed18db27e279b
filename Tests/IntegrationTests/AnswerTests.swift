// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Every task that the agent has to answer is answered, once.
extension Integration {
    @Suite struct Answers {
        private struct Answer: Hashable {
            var status: String
            var message: String
        }

        /// The 5100 records by token; a token that is there twice is a failure.
        private static func answers(_ server: InteropServer) -> [String: [Answer]] {
            var result: [String: [Answer]] = [:]
            for event in server.events("record") where event["data_type"].int == 5100 {
                let fields = event["fields"]
                let answer = Answer(status: fields["status"].string ?? "", message: fields["msg"].string ?? "")
                result[fields["token"].string ?? "", default: []].append(answer)
            }
            return result
        }

        private static func data(_ object: [String: Any]) throws -> String { try JSON.line(object) }

        /// As fast as the stream allows: tasks of the agent, of a plugin that reads, of one that does not, and of nobody.
        @Test func twoHundredTasks() throws {
            try Scenario.run { scenario in
                let echo = try scenario.addWriter("echo", ["mode": "echo-tasks"])
                _ = try scenario.addScript("deaf", "exec sleep 1000\n")
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["timeouts": ["plugin_drain": "200ms", "plugin_term": "200ms"]])
                try agent.wait(for: "plugin has been loaded", count: 2)
                let large = String(repeating: "x", count: 1 << 20)
                let half = String(repeating: "x", count: 700_000)
                var expected: [String: String] = [:]
                for index in 0..<200 {
                    let token = "t\(index)"
                    var fields: [String: Any] = ["token": token, "object_name": "elkeid-agent", "data_type": 1051]
                    switch index % 8 {
                    case 0:
                        fields["data"] = try Self.data(["idc": "idc-\(index)"])
                        expected[token] = "succeed"
                    case 1:
                        fields["data"] = "{"
                        expected[token] = "failed"
                    case 2:
                        fields["data_type"] = 9999
                        expected[token] = "failed"
                    case 3:
                        fields["object_name"] = "nobody"
                        expected[token] = "failed"
                    case 4:
                        fields["object_name"] = "echo"
                        // The plugin answers: its status is "succeed" as well.
                        expected[token] = "succeed"
                    case 5:
                        fields["object_name"] = "echo"
                        fields["data"] = large
                        expected[token] = "failed"
                    case 6:
                        // 4 MiB may wait: most are refused at once, the others when the plugin is gone.
                        fields["object_name"] = "deaf"
                        fields["data"] = half
                        expected[token] = "failed"
                    default:
                        fields["data_type"] = 1050
                        fields["data"] = try Self.data(["path": "relative", "buf_size": 1])
                        expected[token] = "failed"
                    }
                    try server.post("task", fields)
                }
                // Those that wait for the plugin that does not read are answered when it is gone.
                try eventually("the commands to be done", seconds: 60, state: scenario.state) {
                    (server.events("done").filter { $0["cmd"].string == "task" }.count == 200).asAnswer
                }
                try agent.stop()
                let answers = Self.answers(server)
                #expect(answers.count == 200)
                #expect(answers.values.allSatisfy { $0.count == 1 }, "\(answers.filter { $0.value.count > 1 })")
                for (token, status) in expected {
                    #expect(answers[token]?.first?.status == status, "\(token): \(answers[token] ?? [])")
                }
                #expect(echo.summary?.tasks == 25)
                try agent.ledger().expectBalanced()
            }
        }

        struct Refusal: CustomTestStringConvertible, Sendable {
            var object = "elkeid-agent"
            var type = 1050
            var data: String
            var reason: String
            var testDescription: String { reason }
        }

        @Test func refusalsSayWhy() throws {
            try Scenario.run { scenario in
                let folder = scenario.folder.path
                let file = folder + "/file"
                try write(String(repeating: "x", count: 7000), to: file)
                #expect(unsafe mkfifo(folder + "/fifo", 0o600) == 0)
                func upload(_ path: String, _ size: Any) throws -> String {
                    try Self.data(["path": path, "buf_size": size])
                }
                let refusals = try [
                    Refusal(data: upload(file, 0), reason: "buf_size is 0"),
                    Refusal(data: upload(file, -1), reason: "buf_size is -1"),
                    Refusal(data: upload(file, "10"), reason: "no whole number as buf_size"),
                    Refusal(data: upload(file, 11), reason: "has 7000 bytes; with that buf_size at most 6600"),
                    Refusal(data: upload("file", 10), reason: "is no absolute path"),
                    Refusal(data: upload(folder, 10), reason: "not a regular file"),
                    Refusal(data: upload(folder + "/fifo", 10), reason: "not a regular file"),
                    Refusal(data: upload("/dev/zero", 10), reason: "not a regular file"),
                    Refusal(data: upload(folder + "/nothing", 10), reason: "No such file or directory"),
                    Refusal(data: "[]", reason: "no path"), Refusal(data: "", reason: "no JSON"),
                    Refusal(type: 1051, data: "{}", reason: "name neither idc nor region"),
                    Refusal(type: 1051, data: "{\"region\":\"mars\"}", reason: "\"mars\" is not defined on this host"),
                    Refusal(type: 1051, data: "{\"idc\":\"12\"}", reason: "reads as a number"),
                    Refusal(type: 1051, data: "{\"idc\":\"a=b\"}", reason: "settings run together"),
                    Refusal(type: 1051, data: "{\"idc\":\"a\\nb\"}", reason: "control characters"),
                    Refusal(type: 1051, data: "{\"idc\":\"a;b\"}", reason: "mean something in a settings file"),
                    Refusal(type: 1049, data: "", reason: "knows no task of type 1049"),
                    Refusal(object: "nobody", data: "", reason: "there is no such plugin"),
                ]
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try agent.wait(for: "get connection successfully")
                for (index, refusal) in refusals.enumerated() {
                    try server.command(
                        "task",
                        [
                            "object_name": refusal.object, "data_type": refusal.type, "data": refusal.data,
                            "token": "t\(index)",
                        ]
                    )
                }
                try eventually("the answers", state: scenario.state) {
                    (Self.answers(server).count == refusals.count).asAnswer
                }
                let answers = Self.answers(server)
                for (index, refusal) in refusals.enumerated() {
                    let answer = answers["t\(index)"]?.first
                    #expect(answer?.status == "failed")
                    #expect(answer?.message.contains(refusal.reason) == true, "\(answer?.message ?? "none")")
                }
                // Nothing without a token is answered: there is nobody to answer to.
                try server.command("task", ["object_name": "nobody", "data_type": 7])
                try agent.wait(for: "task 7 for nobody failed: there is no such plugin")
                try agent.stop()
                #expect(Self.answers(server).count == refusals.count)
            }
        }

        /// Several files at once beside the records, at their pace, in pieces of the size asked for.
        @Test func filesAreUploaded() throws {
            try Scenario.run { scenario in
                try scenario.addWriter("writer", ["rate": 2000, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["timeouts": ["upload_interval": "20ms"]])
                try agent.wait(for: "get connection successfully")
                var sums: [String: String] = [:]
                for (index, size) in [0, 1, 100_000, 1_000_000, 250_000, 700_001].enumerated() {
                    let path = scenario.folder.path + "/file\(index)"
                    let random = FileHandle(forReadingAtPath: "/dev/urandom")
                    try (size == 0 ? Data() : try random?.read(upToCount: size) ?? Data()).write(
                        to: URL(filePath: path)
                    )
                    sums["t\(index)"] = try TestComponent.checksum(path)
                    try server.post(
                        "task",
                        [
                            "object_name": "elkeid-agent", "data_type": 1050, "token": "t\(index)",
                            "data": try Self.data(["path": path, "buf_size": 100_000]),
                        ]
                    )
                }
                let uploads = try server.wait(for: "upload", count: 6)
                for upload in uploads {
                    #expect(upload["sha256"].string == sums[upload["token"].string ?? ""], "\(upload)")
                    #expect(upload["largest_chunk"].int ?? .max <= 100_000)
                }
                let million = uploads.first { $0["bytes"].int == 1_000_000 }
                #expect(million?["chunks"].int == 10)
                try agent.wait(for: "file uploaded", count: 6)
                try agent.stop()
                // The server has answered for them itself.
                #expect(Self.answers(server).isEmpty)
                try scenario.expectEverythingDelivered(agent, server)
            }
        }

        @Test func uploadsThatFailAreAnswered() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer(["-upload-fails"])
                let agent = try scenario.startAgent(["timeouts": ["upload_interval": "100ms"]])
                try agent.wait(for: "get connection successfully")
                func upload(_ name: String, bytes: Int) throws {
                    let path = scenario.folder.path + "/" + name
                    try write(String(repeating: "x", count: bytes), to: path)
                    let data = try Self.data(["path": path, "buf_size": 1000])
                    let fields: [String: Any] = ["object_name": "elkeid-agent", "data_type": 1050, "token": name]
                    try server.command("task", fields.merging(["data": data]) { $1 })
                }
                try upload("refused", bytes: 10)
                // The file becomes shorter, or another one, after its first piece and long before its last.
                try upload("shorter", bytes: 300_000)
                try upload("replaced", bytes: 300_000)
                try upload("broken", bytes: 500_000)
                try server.wait(for: "upload_begun", count: 4)
                #expect(unsafe truncate(scenario.folder.path + "/shorter", 100) == 0)
                try write(String(repeating: "y", count: 300_000), to: scenario.folder.path + "/another")
                #expect(unsafe rename(scenario.folder.path + "/another", scenario.folder.path + "/replaced") == 0)
                try eventually("three answers", state: scenario.state) { (Self.answers(server).count == 3).asAnswer }
                try server.command("disconnect")
                try eventually("the fourth", state: scenario.state) { (Self.answers(server).count == 4).asAnswer }
                let answers = Self.answers(server)
                for (token, reason) in [
                    ("refused", "the server could not take it"),
                    ("shorter", "has become shorter than its 300000 bytes"),
                    ("replaced", "another file has taken its place"), ("broken", "the connection to the server ended"),
                ] {
                    // What was on its way when the connection broke may come twice, the same each time.
                    #expect(Set(answers[token] ?? []).count == 1)
                    #expect(answers[token]?.first?.message.contains(reason) == true, "\(answers[token] ?? [])")
                }
                // Asked again by a server that has not heard of it: the same answer.
                let before = answers["refused"]?.count ?? 0
                try server.command(
                    "task",
                    ["object_name": "elkeid-agent", "data_type": 1050, "token": "refused", "data": "{}"]
                )
                try eventually("the same again", state: scenario.state) {
                    (Self.answers(server)["refused"]?.count == before + 1).asAnswer
                }
                #expect(Set(Self.answers(server)["refused"] ?? []).count == 1)
                try agent.stop()
            }
        }

        /// A task in progress when the agent is killed is answered by the next one.
        @Test func whatAKilledAgentHadBegunIsAnswered() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let first = try scenario.startAgent()
                try first.wait(for: "get connection successfully")
                let path = scenario.folder.path + "/file"
                try write(String(repeating: "x", count: 5000), to: path)
                try server.command(
                    "task",
                    [
                        "object_name": "elkeid-agent", "data_type": 1050, "token": "long",
                        "data": try Self.data(["path": path, "buf_size": 10]),
                    ]
                )
                try eventually("the list of tasks", state: scenario.state) {
                    text(of: scenario.folder.path + "/work/tasks.json").contains("long").asAnswer
                }
                first.signal(SIGKILL)
                _ = try first.waitForExit()
                let second = try scenario.startAgent()
                try eventually("the answer", state: scenario.state) { (Self.answers(server)["long"] != nil).asAnswer }
                #expect(Self.answers(server)["long"]?.first?.message == "the agent ended before the task did")
                try second.stop()
                #expect(Self.answers(server)["long"]?.count == 1)
            }
        }

        /// The answer is on its way before the agent is.
        @Test func aShutdownIsAnswered() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                // What an earlier agent left is damaged: that is said, and no more.
                let list = scenario.folder.path + "/work/tasks.json"
                try write("{\"tokens\":[1", to: list)
                let agent = try scenario.startAgent()
                try agent.wait(for: "get connection successfully")
                #expect(agent.messages(with: "is damaged and put aside as \(list).corrupt").count == 1)
                try server.command(
                    "task",
                    ["object_name": "elkeid-agent", "data_type": 1060, "token": "stop"]
                )
                #expect(try agent.waitForExit() == .code(0))
                let answers = Self.answers(server)
                #expect(answers["stop"]?.map(\.status) == ["succeed"])
            }
        }

        @Test func metadataAreSetForGood() throws {
            try Scenario.run { try Self.setMetadata(in: $0) }
        }

        private static func setMetadata(in scenario: Scenario) throws {
            let server = try scenario.startServer()
            let environment = scenario.folder.path + "/specified_env"
            let kept = "# mine\nservice_type = systemd\n"
            try write(kept + "specified_idc = old\nspecified_id = abc-1\n", to: environment)
            let settings: Settings = ["region \"east\"": ["private": server.address]]
            let agent = try scenario.startAgent(settings)
            try agent.wait(for: "idc old,region default")
            try post("{\"idc\":\"new\"}", to: server)
            try post("{\"region\":\"east\"}", to: server)
            try agent.wait(for: "idc and region are set", count: 2)
            try eventually("the answers", state: scenario.state) {
                let answers = answers(server).values.flatMap(\.self)
                return (answers.count == 2 && answers.allSatisfy { $0.status == "succeed" }).asAnswer
            }
            let expected = kept + "specified_idc = new\nspecified_id = abc-1\nspecified_region = east\n"
            #expect(text(of: environment) == expected)
            try eventually("the heartbeat", state: scenario.state) {
                (server.events("heartbeat").last?["fields"]["region"].string == "east").asAnswer
            }
            // Also after the configuration was read again, and for the next agent.
            agent.signal(SIGHUP)
            try agent.wait(for: "configuration reloaded")
            try agent.stop()
            #expect(agent.messages(with: "get connection successfully").count == 1)
            let second = try scenario.startAgent(settings)
            try second.wait(for: "get connection successfully: idc new,region east")
            try second.stop()
        }

        private static func post(_ metadata: String, to server: InteropServer) throws {
            try server.post(
                "task",
                ["object_name": "elkeid-agent", "data_type": 1051, "token": metadata, "data": metadata]
            )
        }
    }
}

extension AgentRun.Ledger {
    func expectBalanced(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(isBalanced, "\(self)", sourceLocation: sourceLocation)
    }
}
