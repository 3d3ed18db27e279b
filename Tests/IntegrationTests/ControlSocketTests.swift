// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// The control socket, and whoever connects to it.
extension Integration {
    @Suite struct ControlSocket {
        /// A load, and the agent under it.
        private final class Load {
            let scenario: Scenario
            let server: InteropServer
            let agent: AgentRun
            var socket: String { scenario.folder.path + "/socket" }

            /// Records arrive.
            init(_ scenario: Scenario, rate: Int) throws {
                self.scenario = scenario
                try scenario.addWriter("writer", ["rate": rate, "seconds": 600, "record_size": 120])
                server = try scenario.startServer(["-fast"])
                agent = try scenario.startAgent()
                try waitForRecords(rate)
            }

            /// Waits for so many more records.
            func waitForRecords(_ count: Int) throws {
                let before = try server.stats().records
                try eventually("records", state: scenario.state) {
                    try (server.stats().records >= before + count).asAnswer
                }
            }

            func status() throws -> JSON {
                let answer = try scenario.elkeidctl.run("status", "--json")
                #expect(answer.exit == .code(0), "\(answer)")
                return answer.json
            }

            /// The agent ends in order, and everything that was written has arrived.
            func finish() throws -> Int {
                try agent.stop()
                try scenario.expectEverythingDelivered(agent, server)
                return scenario.plugins[0].summary?.records ?? 0
            }
        }

        /// A thousand clients that do what no client may: records go on as without them, and nothing is left of them.
        ///
        /// Where something else keeps the processors busy every program stalls: one of three times must be undisturbed.
        @Test(.alone) func attack() throws {
            // The stall that nobody may cause, in microseconds.
            let bound = TestEnvironment.isSanitized ? .max : 50_000
            var stalls: [Int] = []
            while stalls.count < 3, stalls.allSatisfy({ $0 >= bound }) {
                let alone = try Self.longestTurn(attackedBy: 0)
                let attacked = try Self.longestTurn(attackedBy: TestEnvironment.isSoak ? 10_000 : 1000)
                stalls.append(max(alone, attacked))
            }
            #expect(stalls.contains { $0 < bound }, "\(stalls) µs")
        }

        private static func longestTurn(attackedBy clients: Int) throws -> Int {
            var turn = Int.max
            try Scenario.run { scenario in
                let rate = TestEnvironment.isSanitized ? 2000 : 50_000
                let load = try Load(scenario, rate: rate)
                let before = try load.status()
                var attack = ControlAttack(load.socket, random: SeededRandom(seed: 7))
                let longest = try attack.run(clients: clients)
                #expect(longest < 10 << 20, "a line without an end is not read to its end")
                // It goes on afterwards as it did.
                try load.waitForRecords(rate)
                let after = try eventually("the clients to be forgotten", state: scenario.state) {
                    let now = try load.status()
                    let isClean =
                        now["process"]["descriptors"].int == before["process"]["descriptors"].int
                        && now["loop"]["sources"].int == before["loop"]["sources"].int
                    return isClean ? now : nil
                }
                #expect(load.agent.problems == [])
                #expect(after["pid"].int == before["pid"].int && after["connection"]["state"].string == "running")
                #expect(after["traffic"]["connections"].int == 1)
                turn = after["loop"]["longest_turn_us"].int ?? .max
                let records = try load.finish()
                print("\(clients) clients: \(records) records, longest turn \(turn) µs")
            }
            return turn
        }

        // MARK: Clients that are slow or hasty, and mean well

        @Test func oddClientsAreAnswered() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(["timeouts": ["heartbeat": "100ms"]])
                try server.wait(for: "heartbeat")
                let socket = scenario.folder.path + "/socket"
                let halfClosed = try RawControlClient(socket)
                halfClosed.send(ControlAttack.status)
                halfClosed.endInput()
                let answer = try halfClosed.readToEnd()
                #expect(answer.hasSuffix("\n") && answer.count(where: { $0 == "\n" }) == 1)
                let status = JSON(line: Data(answer.utf8))
                #expect(status?["ok"].bool == true && status?["result"]["pid"].int == Int(agent.pid))

                let slow = try RawControlClient(socket)
                for byte in ControlAttack.status.utf8 { slow.send([byte]) }
                #expect(try slow.readLines(1)[0]["result"]["pid"].int == Int(agent.pid))

                let hasty = try RawControlClient(socket)
                let one = "{\"v\":1,\"request\":\"log_level\",\"level\":\"info\"}\n"
                hasty.send(String(repeating: one, count: 50) + "{\"v\":1,\"request\":\"nonsense\"}\n")
                let answers = try hasty.readLines(51)
                #expect(answers.count { $0["ok"].bool == true } == 50, "each is answered, in order")
                #expect(answers.last?["ok"].bool == false)

                // Whether one that has said its last is still there to hear of records nobody could tell.
                let listening = try RawControlClient(socket)
                listening.send(ControlAttack.tail)
                #expect(try listening.readLines(1)[0]["ok"].bool == true)
                #expect(try listening.readLines(1)[0]["data_type"].int == 1000, "the next heartbeat")
                listening.endInput()
                _ = try listening.readToEnd()
                try agent.stop()
            }
        }

        // MARK: Users

        private static let canChangeUser =
            getuid() == 0 && FileManager.default.isExecutableFile(atPath: "/usr/bin/setpriv")

        /// By the mode of the socket's file, and where that is given away, by who the other one is.
        @Test(.enabled(if: canChangeUser, "root and setpriv are needed to be somebody else"))
        func otherUsersAreRefused() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let agent = try scenario.startAgent()
                try server.wait(for: "heartbeat")
                let socket = scenario.folder.path + "/socket"
                #expect(mode(of: socket) == 0o600)
                // A build folder may be root's alone.
                let program = scenario.folder.path + "/elkeidctl"
                try ChildProcess.withoutStarts {
                    try FileManager.default.copyItem(atPath: TestEnvironment.agent(), toPath: program)
                }
                let nobody = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program]
                func status() throws -> Elkeidctl.Answer {
                    let arguments = ["--config", scenario.configurationPath, "status", "--json"]
                    return try scenario.elkeidctl.run(command: nobody + arguments)
                }
                let first = try status()
                #expect(first.exit == .code(1) && first.output.isEmpty)
                #expect(first.errors == "Error: \(socket) is root's; run elkeidctl as root\n", "\(first)")
                #expect(unsafe chmod(socket, 0o666) == 0)
                let second = try status()
                #expect(second.exit == .code(1) && second.output.isEmpty)
                #expect(second.errors.hasPrefix("Error: the agent closed the connection"), "\(second)")
                #expect(try scenario.elkeidctl.run("status", "--json").exit == .code(0))
                try agent.stop()
            }
        }
    }
}
