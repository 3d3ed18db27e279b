// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Tasks on their way from the server to plugins.
extension Integration {
    @Suite struct Tasks {
        @Test func reachThePluginInOrder() throws {
            try Scenario.run { scenario in
                let plugin = try scenario.addWriter("echo", ["mode": "echo-tasks"])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try agent.wait(for: "plugin has been loaded")
                let sizes = [0, 1, 100, 4096, 65_536, 100_000, 900_000]
                for round in 0..<60 {
                    let data = String(repeating: "d", count: sizes[round % sizes.count])
                    try server.command(
                        "task",
                        ["object_name": "echo", "data_type": 5050 + round, "token": "t\(round)", "data": data]
                    )
                }
                let answers = try server.wait(for: "record", count: 60).map { $0["fields"] }
                for (round, fields) in answers.enumerated() {
                    #expect(fields["token"].string == "t\(round)")
                    #expect(fields["task_data_type"].string == "\(5050 + round)")
                    #expect(fields["object_name"].string == "echo")
                    #expect(fields["msg"].string?.utf8.count == sizes[round % sizes.count])
                }
                try agent.stop()
                #expect(plugin.summary?.tasks == 60)
                #expect(plugin.summary?.error == nil)
            }
        }

        /// A plugin that does not read: tasks wait up to a limit, and what it reads in the end are whole frames.
        @Test func waitForAPluginThatDoesNotRead() throws {
            try Scenario.run { scenario in
                let deaf = try scenario.addScript(
                    "deaf",
                    "while [ ! -e go ]; do sleep 0.05; done\ncat <&3 >tasks\n"
                )
                let echo = try scenario.addWriter("echo", ["mode": "echo-tasks"])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try agent.wait(for: "plugin has been loaded", count: 2)

                let data = String(repeating: "x", count: 900 << 10)
                for index in 0..<10 {
                    try server.command(
                        "task",
                        ["object_name": "deaf", "data_type": 1, "token": "t\(index)", "data": data]
                    )
                }
                let tooLarge = String(repeating: "x", count: 1 << 20)
                try server.command("task", ["object_name": "deaf", "data_type": 1, "token": "large", "data": tooLarge])
                // Commands are handled in order: when this one is, all of them were. And others are not held up.
                try server.command("task", ["object_name": "echo", "data_type": 1, "token": "after"])
                try eventually("the answer to it", state: scenario.state) {
                    server.events("record").contains { $0["fields"]["token"].string == "after" }.asAnswer
                }

                let refused = agent.messages(with: "task 1 for deaf failed: the plugin does not read its tasks")
                #expect((5...6).contains(refused.count), "4 MiB may wait, and the pipe holds some")
                #expect(agent.messages(with: "task 1 for deaf failed: the task has").count == 1)
                try write("", to: deaf.file("go"))
                let frames = try eventually("the tasks that waited", state: scenario.state) {
                    let frames = try? Self.frames(in: deaf.file("tasks"))
                    return frames?.count == 10 - refused.count ? frames : nil
                }
                try server.command("task", ["object_name": "deaf", "data_type": 1, "token": "last"])
                try eventually("the last task", state: scenario.state) {
                    try? (Self.frames(in: deaf.file("tasks")).last?.suffix(4) == Data("last".utf8)).asAnswer
                }
                try agent.stop()
                for (index, frame) in frames.enumerated() {
                    #expect(
                        frame.count > data.utf8.count && frame.suffix(4) == Data([0x22, 2]) + Data("t\(index)".utf8)
                    )
                }
                #expect(echo.summary?.tasks == 1)
            }
        }

        /// The server's way to restart an agent.
        @Test func shutdownTaskEndsTheAgent() throws {
            try Scenario.run { scenario in
                _ = try scenario.addWriter("writer", ["rate": 1000, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try agent.wait(for: "plugin has been loaded")
                try eventually("records", state: scenario.state) { try (server.stats().records > 100).asAnswer }
                try server.command("task", ["object_name": "elkeid-agent", "data_type": 1060])
                #expect(try agent.waitForExit() == .code(0))
                try scenario.expectEverythingDelivered(agent, server)
            }
        }

        private static func frames(in path: String) throws -> [Data] {
            var rest = try Data(contentsOf: URL(filePath: path))[...]
            var frames: [Data] = []
            while !rest.isEmpty {
                let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
                guard rest.count >= 4 + length else { throw Failure("half a frame at the end") }
                frames.append(Data(rest.dropFirst(4).prefix(length)))
                rest = rest.dropFirst(4 + length)
            }
            return frames
        }
    }
}
