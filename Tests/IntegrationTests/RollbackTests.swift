// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// Versions that do not run, plugins that crash, and agents that are killed meanwhile.
extension Integration {
    @Suite struct RollingBack {
        struct Death: CustomTestStringConvertible, Sendable {
            var lines: String
            var reason: String
            var testDescription: String { reason }
        }

        @Test(arguments: [
            Death(
                lines: "echo '/lib/x.so: cannot open' >&2\nexit 3",
                reason: "exit code 3; the end of its stderr: /lib/x.so: cannot open"
            ),
            Death(lines: "kill -SEGV $$", reason: "signal 11"),
            Death(lines: "sleep 1.5\nexit 0", reason: "exit code 0"),
        ])
        func aVersionThatEnds(_ death: Death) throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let good = try TestComponent(
                    script: "a",
                    "1.0.0.1",
                    "echo made >state\n" + TestComponent.waits,
                    at: web
                )
                // It changes what it finds, and makes something.
                let lines = "echo changed >state\necho later >new-state\n" + death.lines
                let bad = try TestComponent(script: "a", "1.0.0.2", lines, at: web)
                let agent = try scenario.startAgent(Installing.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([good])
                try agent.wait(for: "plugin has been loaded")
                try eventually("the state") { text(of: scenario.file("state", of: "a")).isEmpty ? nil : () }
                try server.configure([bad])
                try agent.wait(for: "the new version has failed (\(death.reason)")
                try agent.wait(for: "rolled back to version 1.0.0.1")
                try agent.wait(for: "plugin has been loaded", count: 3)
                #expect(text(of: scenario.file("started", of: "a")).hasPrefix("1.0.0.1\n1.0.0.2\n"))
                // A rollback keeps the state as it is now.
                #expect(text(of: scenario.file("new-state", of: "a")) == "later\n")
                let state = try agent.askForState()
                #expect(
                    state.contains("a: version 1.0.0.2 ended within 60 s of its start (\(death.reason)")
                        && state.contains("it is not tried again until the server sends another version or checksum"),
                    "\(state)"
                )

                // The same again is not tried; neither by the next agent.
                let asked = web.requests.count
                try server.configure([bad])
                try agent.wait(for: "configuration received", count: 3)
                try agent.stop()
                let second = try scenario.startAgent(Installing.quick)
                try second.wait(for: "configuration received", count: 4)
                try second.wait(for: "plugin has been loaded", count: 4)
                #expect(web.requests.count == asked)
                #expect(try second.askForState().contains("a: version 1.0.0.2 ended within 60 s"))

                // Another checksum under the same version is another try.
                let mended = try TestComponent(
                    script: "a",
                    "1.0.0.2",
                    "echo mended >state\n" + TestComponent.waits,
                    at: web
                )
                try server.configure([mended])
                try second.wait(for: "plugin has been loaded", count: 5)
                try eventually("the new start") {
                    text(of: scenario.file("started", of: "a")).hasSuffix("1.0.0.2\n").asAnswer
                }
                #expect(try second.askForState().contains("state: running []"))
                try second.stop()
            }
        }

        /// A version that has not proven itself is no way back for the one after it.
        @Test func backToTheLastGoodOne() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(Installing.with(["probation": "3s"]))
                try agent.wait(for: "get connection successfully")
                try server.configure([TestComponent(script: "a", "1.0.0.1", TestComponent.waits, at: web)])
                try agent.wait(for: "has proven itself", seconds: 30)
                try server.configure([TestComponent(script: "a", "1.0.0.2", TestComponent.waits, at: web)])
                try agent.wait(for: "plugin has been loaded", count: 2)
                try server.configure([TestComponent(script: "a", "1.0.0.3", "exit 1", at: web)])
                try agent.wait(for: "rolled back to version 1.0.0.1")
                try agent.wait(for: "plugin has been loaded", count: 4)
                try agent.stop()
            }
        }

        /// Once it has proven itself a crash is only a crash.
        @Test func provenVersionsAreRestarted() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let waitsForEnd = "while [ ! -e die ]; do sleep 0.05; done\nrm die\nexit 7"
                let agent = try scenario.startAgent(Installing.with(["probation": "1s", "plugin_restart_min": "50ms"]))
                try agent.wait(for: "get connection successfully")
                for version in ["1.0.0.1", "1.0.0.2"] {
                    try server.configure([TestComponent(script: "a", version, waitsForEnd, at: web)])
                    try agent.wait(for: "version \(version) is installed")
                    try agent.wait(for: "the new version has proven itself", count: version == "1.0.0.1" ? 1 : 2)
                }
                try write("", to: scenario.file("die", of: "a"))
                try agent.wait(for: "plugin ended unexpectedly: exit code 7")
                try agent.wait(for: "plugin has been loaded", count: 3)
                try eventually("the start") {
                    (text(of: scenario.file("started", of: "a")) == "1.0.0.1\n1.0.0.2\n1.0.0.2\n").asAnswer
                }
                #expect(agent.messages(with: "rolled back").isEmpty)
                try agent.stop()
            }
        }

        /// There is nothing to go back to: it is started again, ever later, and never given up.
        @Test func aFirstVersionThatCrashesIsRestarted() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let lines = "[ $(wc -l <started) -ge 4 ] || exit 1\n" + TestComponent.waits
                let agent = try scenario.startAgent(
                    Installing.with(["plugin_restart_min": "100ms", "plugin_restart_max": "400ms"])
                )
                try agent.wait(for: "get connection successfully")
                try server.configure([TestComponent(script: "a", "1.0.0.1", lines, at: web)])
                try agent.wait(for: "plugin ended unexpectedly: exit code 1", count: 3)
                try agent.wait(for: "plugin has been loaded", count: 4)
                try eventually("the state", state: scenario.state) {
                    try agent.askForState().contains("state: running []").asAnswer
                }
                try agent.stop()
            }
        }

        /// Every version brings files that must all be its own; every fifth ends at once.
        private static func version(_ number: Int, at web: WebServer, in scenario: Scenario) throws -> TestComponent {
            let contents = scenario.folder.path + "/contents"
            let name = "1.0.0.\(number)"
            let end = number % 5 == 4 ? "exit 9" : TestComponent.waits
            try write("#!/bin/sh\necho \(name) >>started\ntouch made-by-\(number % 3)\n\(end)\n", to: contents)
            var files: [String: String] = [:]
            for index in 0..<20 {
                files["part/\(index)"] = "\(contents)-\(index)"
                try write(name + String(repeating: ".", count: 40_000), to: "\(contents)-\(index)")
            }
            return try TestComponent(archive: "good", "a", name, program: contents, files: files, at: web)
        }

        /// SIGKILL at random moments of installing, upgrading and rolling back; each time the next agent finds one version
        /// whole, and runs it.
        @Test func killedAtAnyMoment() throws {
            let given = ProcessInfo.processInfo.environment["ELKEID_TEST_SEED"]
            let seed = given.flatMap(UInt64.init) ?? UInt64.random(in: 1...1 << 32)
            print("seed \(seed), set ELKEID_TEST_SEED to repeat it")
            try Scenario.run { try Self.kill(in: $0, rounds: TestEnvironment.isSoak ? 150 : 20, seed: seed) }
        }

        private static func kill(in scenario: Scenario, rounds: Int, seed: UInt64) throws {
            var random = SeededRandom(seed: seed)
            let settings = Installing.with(["plugin_restart_min": "20ms"])
            let web = try scenario.startWebServer()
            let server = try scenario.startServer()
            let started = scenario.file("started", of: "a")
            var made: Set<String> = []
            for round in 1...rounds {
                try server.configure([version(round, at: web, in: scenario)])
                let agent = try scenario.startAgent(settings)
                usleep(UInt32(random.int(0...400_000)))
                agent.signal(SIGKILL)
                _ = try agent.waitForExit()
                let next = try scenario.startAgent(settings)
                let before = text(of: started).count
                try eventually("a version to run, round \(round)", state: scenario.state) {
                    (text(of: started).count > before).asAnswer
                }
                try next.stop()
                try expectWhole(in: scenario.pluginFolder + "/a", round: round, made: &made)
            }
            #expect(!made.isEmpty)
            // In the end the version that is wanted runs, though it was interrupted so often.
            let last = try version(rounds + (rounds % 5 == 3 ? 2 : 1), at: web, in: scenario)
            try server.configure([last])
            let agent = try scenario.startAgent(Installing.quick)
            try eventually("the last version", state: scenario.state) {
                text(of: started).hasSuffix("\(last.version)\n").asAnswer
            }
            try agent.stop()
        }

        /// Whichever version is in place, it is whole, and what plugins made is there.
        private static func expectWhole(in folder: String, round: Int, made: inout Set<String>) throws {
            let echo = text(of: folder + "/a").split(separator: "\n").first { $0.hasPrefix("echo 1.") }
            guard let name = echo?.split(separator: " ")[1] else { throw Failure("no program, round \(round)") }
            for index in 0..<20 {
                let part = text(of: "\(folder)/part/\(index)")
                #expect(part == name + String(repeating: ".", count: 40_000), "round \(round), part \(index)")
            }
            let entries = Set(try FileManager.default.contentsOfDirectory(atPath: folder))
            let left = entries.filter { $0.hasPrefix("made-by-") }
            let lost = made.subtracting(left)
            #expect(lost.isEmpty, "round \(round)")
            made = left
            #expect(entries.isSuperset(of: ["a", "part", ".elkeid-manifest"]), "round \(round): \(entries)")
        }
    }
}
