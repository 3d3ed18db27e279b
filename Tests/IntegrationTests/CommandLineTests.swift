// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The command `elkeid-agent` itself.
extension Integration {
    @Suite struct CommandLine {
        private struct Result {
            var exit: ChildProcess.Exit
            var output: String
            var errors: String
        }

        private func agent(_ arguments: String..., in folder: TemporaryFolder) throws -> Result {
            let (output, errors) = (folder.path + "/out", folder.path + "/err")
            for path in [output, errors] { try? FileManager.default.removeItem(atPath: path) }
            let child = try ChildProcess(
                [TestEnvironment.agent()] + arguments,
                .init(output: output, errors: errors)
            )
            defer { child.end() }
            let exit = try child.waitForExit(seconds: 10)
            return Result(exit: exit, output: text(of: output), errors: text(of: errors))
        }

        @Test func version() throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let result = try agent("--version", in: folder)
            #expect(result.exit == .code(0))
            #expect(result.output.wholeMatch(of: /elkeid-agent \d+\.\d+\.\d+\.\d+\n/) != nil, "\(result.output)")
            #expect(result.errors.isEmpty)
        }

        @Test func help() throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let result = try agent("--help", in: folder)
            #expect(result.exit == .code(0))
            #expect(result.output.hasPrefix("usage: elkeid-agent"))
        }

        @Test(arguments: [["--nonsense"], ["--config"], ["agent.conf"]])
        func wrongUse(arguments: [String]) throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let result = arguments.count == 1 ? try agent(arguments[0], in: folder) : try agent(in: folder)
            #expect(result.exit == .code(2))
            #expect(result.errors.contains("usage: elkeid-agent"))
        }

        @Test func checkOfAFaultlessConfiguration() throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let path = folder.path + "/agent.conf"
            try write("[agent]\nwork_dir = work\n[transfer]\ncompression = zstd\n", to: path)
            let result = try agent("--check-config", "--config", path, in: folder)
            #expect(result.exit == .code(0))
            #expect(result.errors.isEmpty)
            #expect(result.output.contains("work_dir = \(folder.path)/work\n"))
            #expect(result.output.contains("compression = zstd\n"))
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/work"), "a check changes nothing")
        }

        @Test func checkOfAFaultyConfiguration() throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let path = folder.path + "/agent.conf"
            try write("[agent]\nwork_dir = work\nnonsense = 1\n[transfer]\ncompression = lzma\n", to: path)
            let result = try agent("--check-config", "--config", path, in: folder)
            #expect(result.exit == .code(78))
            let lines = result.errors.split(separator: "\n")
            #expect(lines.count == 2)
            #expect(lines.first?.contains("\(path):3: ") == true && lines.first?.contains("nonsense") == true)
            #expect(lines.last?.contains("\(path):5: ") == true && lines.last?.contains("lzma") == true)
        }

        @Test func missingConfiguration() throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            for arguments in [["--config", folder.path + "/none.conf"], ["--config=" + folder.path + "/none.conf"]] {
                let result =
                    arguments.count == 2
                    ? try agent(arguments[0], arguments[1], in: folder)
                    : try agent(arguments[0], in: folder)
                #expect(result.exit == .code(78))
                #expect(result.errors.hasPrefix(folder.path + "/none.conf: "))
                #expect(result.errors.split(separator: "\n").count == 1)
            }
        }

        /// The second agent for a work_dir says so in one line and ends; the first goes on.
        @Test func oneAgentForOneFolder() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try agent.wait(for: "get connection successfully")
                let second = try self.agent("--config", scenario.folder.path + "/agent.conf", in: scenario.folder)
                #expect(second.exit == .code(1))
                #expect(
                    second.errors
                        == "elkeid-agent: another agent runs with work_dir \(scenario.folder.path)/work, pid \(agent.pid)\n"
                )
                #expect(server.events("stream_opened").count == 1)
                try agent.stop()
                // The lock ends with its holder.
                let third = try scenario.startAgent()
                try server.wait(for: "stream_opened", count: 2)
                try third.stop()
                let ids = server.events("stream_opened").compactMap { $0["agent_id"].string }
                #expect(ids.count == 2 && Set(ids).count == 1, "the identity is kept")
            }
        }

        /// What a wrong value does not affect goes on: the host is not left without an agent.
        @Test func runsWithAWrongValue() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["transfer": ["compression": "lzma", "nonsense": "1"]])
                try server.wait(for: "stream_opened")
                #expect(agent.errorOutput.contains("lzma"))
                #expect(
                    agent.problems.contains { $0.contains("lzma") }
                        && agent.problems.contains { $0.contains("nonsense") }
                )
                try agent.stop()
            }
        }
    }
}
