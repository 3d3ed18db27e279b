// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// `elkeidctl` itself: its command line, help and completion.
extension Integration {
    @Suite struct ControlTool {
        static let commands = [
            "enable", "disable", "start", "stop", "restart", "check", "cleanup", "service-reload", "set", "unset",
            "reload",
            "log-level", "reconnect", "status", "top", "metrics", "tail", "log", "doctor", "bundle", "completion",
            "version", "help",
        ]

        // MARK: Use

        @Test(arguments: [[], ["help"], ["--help"], ["-h"]])
        func help(arguments: [String]) throws {
            try Scenario.run { scenario in
                let answer = try scenario.elkeidctl.run(arguments)
                #expect(answer.exit == .code(0) && answer.errors.isEmpty)
                #expect(answer.output.hasPrefix("usage: elkeidctl"), "\(answer)")
                let listed = answer.lines.filter { $0.hasPrefix("  ") && !$0.hasPrefix("  --") }
                #expect(listed.compactMap { $0.split(separator: " ").first.map(String.init) } == Self.commands)
            }
        }

        @Test func helpOfEachCommand() throws {
            try Scenario.run { scenario in
                for command in Self.commands {
                    let answer = try scenario.elkeidctl.run(command, "--help")
                    #expect(answer.exit == .code(0) && answer.errors.isEmpty, "\(command)")
                    #expect(answer.output.hasPrefix("usage: elkeidctl \(command)"), "\(answer)")
                    #expect(try scenario.elkeidctl.run("help", command).output == answer.output)
                }
                let set = try scenario.elkeidctl.run("set", "--help").output
                for option in ["--id", "--idc", "--region", "--service_type"] { #expect(set.contains("  \(option) ")) }
            }
        }

        struct Misuse: CustomTestStringConvertible, Sendable {
            var arguments: [String]
            /// In what is said.
            var says: String
            var testDescription: String { arguments.joined(separator: " ") }
        }

        /// Exit code 1 and one line on stderr, as the original elkeidctl has it.
        @Test(arguments: [
            Misuse(arguments: ["nonsense"], says: "there is no command \"nonsense\""),
            Misuse(arguments: ["help", "nonsense"], says: "there is no command \"nonsense\""),
            Misuse(arguments: ["status", "--nonsense"], says: "unknown option --nonsense of status"),
            Misuse(arguments: ["status", "nonsense"], says: "unexpected argument \"nonsense\""),
            Misuse(arguments: ["status", "--json=maybe"], says: "--json takes no value"),
            Misuse(arguments: ["set", "--idc"], says: "--idc needs a value"),
            Misuse(arguments: ["set", "--service_type", "upstart"], says: "it is one of systemd, sysvinit"),
            Misuse(arguments: ["tail", "--count", "0"], says: "a whole number from 1 to"),
            Misuse(arguments: ["tail", "--type", "2147483648"], says: "a whole number from -2147483648 to 2147483647"),
            Misuse(arguments: ["doctor", "--timeout", "61"], says: "a whole number from 1 to 60"),
            Misuse(arguments: ["log", "--lines", "many"], says: "a whole number from 1 to 100000"),
            Misuse(arguments: ["log", "--plugin", "../secret"], says: "that cannot be a plugin's name"),
            Misuse(arguments: ["log-level"], says: "log-level needs one"),
            Misuse(arguments: ["completion"], says: "bash, zsh or fish"),
            Misuse(arguments: ["completion", "tcsh"], says: "it is one of bash, zsh, fish"),
            Misuse(arguments: ["top"], says: "top is for a terminal"),
            Misuse(arguments: ["--config"], says: "--config needs a file"),
        ])
        func misuse(_ misuse: Misuse) throws {
            try Scenario.run { scenario in
                try scenario.configure()
                let answer = try scenario.elkeidctl.run(misuse.arguments)
                #expect(answer.exit == .code(1))
                #expect(answer.output.isEmpty, "\(answer)")
                #expect(answer.errors.hasPrefix("Error: ") && answer.errors.contains(misuse.says), "\(answer)")
                #expect(answer.errors.split(separator: "\n").count == 1, "\(answer)")
            }
        }

        /// Whoever asks something of an agent that is not there is told what to do.
        @Test(arguments: [
            ["status", "--json"], ["reload"], ["reconnect"], ["log-level", "debug"], ["tail"], ["tail", "--json"],
        ])
        func agentIsDown(arguments: [String]) throws {
            try Scenario.run { scenario in
                try scenario.configure()
                let answer = try scenario.elkeidctl.run(arguments)
                #expect(answer.exit == .code(1) && answer.output.isEmpty, "\(answer)")
                #expect(answer.errors.hasPrefix("Error: the agent does not answer at \(scenario.folder.path)/socket: "))
                for advice in ["elkeidctl start", "elkeidctl doctor"] { #expect(answer.errors.contains(advice)) }
            }
        }

        @Test func version() throws {
            try Scenario.run { scenario in
                try scenario.configure()
                let form = /elkeidctl (\d+\.\d+\.\d+\.\d+)\n/
                let alone = try scenario.elkeidctl.run("--version")
                let version = try #require(try form.wholeMatch(in: alone.output)?.1, "\(alone)")
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try server.wait(for: "stream_opened")
                let both = try scenario.elkeidctl.run("version")
                #expect(both.exit == .code(0))
                #expect(both.output == "elkeidctl \(version)\nelkeid-agent \(version)\n")
                try agent.stop()
            }
        }

        // MARK: A running agent is told something

        @Test func reconnect() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["rate": 500, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                try agent.wait(for: "get connection successfully")
                let answer = try scenario.elkeidctl.run("reconnect")
                #expect(answer.exit == .code(0) && answer.errors.isEmpty)
                try server.wait(for: "stream_opened", count: 2)
                try agent.wait(for: "get connection successfully", count: 2)
                #expect(server.events("overlap").count == 0)
                #expect(kill(pid, 0) == 0 && writer.launch?.pid == pid, "its plugin notices nothing")
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
            }
        }

        @Test func logLevel() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["timeouts": ["heartbeat": "100ms"]])
                try agent.wait(for: "agent heartbeat completed")
                #expect(try scenario.elkeidctl.run("log-level", "error").exit == .code(0))
                let loud = try scenario.elkeidctl.run("log-level", "loud")
                #expect(loud.exit == .code(1) && loud.errors.contains("critical"), "\(loud)")
                let before = agent.messages(with: "agent heartbeat completed").count
                try server.wait(for: "heartbeat", count: server.events("heartbeat").count + 3)
                #expect(agent.messages(with: "agent heartbeat completed").count == before)
                #expect(try scenario.elkeidctl.run("log-level", "info").exit == .code(0))
                try agent.wait(for: "agent heartbeat completed", count: before + 1)
                try agent.stop()
            }
        }

        @Test func reload() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["agent": ["idc": "one"]])
                try agent.wait(for: "get connection successfully")
                let good = text(of: scenario.configurationPath)
                let bad = good.replacing("idc = one", with: "idc = two\nlog_levle = debug")
                try write(bad, to: scenario.configurationPath)
                let refused = try scenario.elkeidctl.run("reload")
                #expect(refused.exit == .code(1) && refused.output.isEmpty)
                #expect(refused.errors.hasPrefix("Error: the agent refuses: "), "\(refused)")
                let line = bad.split(separator: "\n", omittingEmptySubsequences: false).firstIndex {
                    $0.hasPrefix("log_levle")
                }
                #expect(refused.errors.contains("\(scenario.configurationPath):\((line ?? -1) + 1): "), "\(refused)")
                #expect(refused.errors.contains("log_levle"), "it says which key")

                try write(good.replacing("idc = one", with: "idc = three"), to: scenario.configurationPath)
                let taken = try scenario.elkeidctl.run("reload")
                #expect(taken.exit == .code(0) && taken.errors.isEmpty)
                #expect(taken.output == "\(scenario.configurationPath) is in effect\n")
                let heartbeats = try server.wait(for: "heartbeat", count: 2)
                #expect(heartbeats.compactMap { $0["fields"]["idc"].string } == ["one", "three"])
                try FileManager.default.removeItem(atPath: scenario.configurationPath)
                // The agent is found all the same, where its default socket is not.
                try write(
                    "[agent]\ncontrol_socket = \(scenario.folder.path)/socket\n",
                    to: scenario.folder.path + "/other"
                )
                var other = scenario.elkeidctl
                other = Elkeidctl(configuration: scenario.folder.path + "/other")
                let gone = try other.run("reload")
                #expect(gone.exit == .code(1) && gone.errors.contains("agent.conf: No such file"), "\(gone)")
                try agent.stop()
            }
        }
    }
}
