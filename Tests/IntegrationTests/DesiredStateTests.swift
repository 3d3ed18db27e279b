// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// What is wanted survives the agent, and is not wiped by accident.
extension Integration {
    @Suite struct DesiredState {
        /// Plugins run from the last configuration before any server is reached, and also when the file of it is damaged.
        @Test(arguments: ["", "{\"format\":1,\"des", "[]", "\u{0}\u{0}\u{0}"])
        func isKept(damage: String) throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let component = try TestComponent(
                    script: "a",
                    "1.0.0.1",
                    "echo $DETAIL >detail\n" + TestComponent.waits,
                    at: web
                )
                var detailed = component
                detailed.detail = "kept"
                let first = try scenario.startAgent(Installing.quick)
                try first.wait(for: "get connection successfully")
                try server.configure([detailed])
                try first.wait(for: "plugin has been loaded")
                try first.stop()
                let file = scenario.folder.path + "/work/components.json"
                let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
                #expect(mode == 0o600)
                try FileManager.default.removeItem(atPath: scenario.file("detail", of: "a"))
                if !damage.isEmpty { try write(damage, to: file) }

                web.stop()
                let dead = try "127.0.0.1:\(unusedPort())"
                let second = try scenario.startAgent(Installing.quick, endpoints: [dead])
                try second.wait(for: "plugin has been loaded", count: 2)
                try eventually("the detail") { (text(of: scenario.file("detail", of: "a")) == "kept\n").asAnswer }
                #expect(second.messages(with: "get connection successfully").count == 1)
                if !damage.isEmpty {
                    #expect(second.messages(with: "is damaged and put aside as \(file).corrupt").count == 1)
                    #expect(text(of: file + ".corrupt") == damage)
                }
                try second.stop()
                // What was found is kept again, for the next time.
                let third = try scenario.startAgent(Installing.quick, endpoints: [dead])
                try third.wait(for: "plugin has been loaded", count: 3)
                try third.stop()
            }
        }

        /// The first configuration of a connection removes nothing when it is empty; the second does.
        @Test func isNotWipedByAccident() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let component = try TestComponent(script: "a", "1.0.0.1", TestComponent.waits, at: web)
                let agent = try scenario.startAgent(Installing.quick)
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                try agent.wait(for: "plugin has been loaded")
                try server.command("agent_ctrl", ["value": 1])
                try agent.wait(for: "control 1 of the server is not known, and ignored")

                // A server that has lost its policies, and the agent comes back to it.
                try server.command("config", ["configs": [Any]()])
                try agent.wait(for: "plugin has been removed")
                try server.configure([component])
                try agent.wait(for: "plugin has been loaded", count: 2)
                try agent.stop()
                let empty = try scenario.startServer()
                try empty.command("config", ["configs": [Any]()])
                let second = try scenario.startAgent(Installing.quick, endpoints: [empty.address])
                try second.wait(for: "names no plugin: they run on")
                try second.wait(for: "plugin has been loaded", count: 3)
                // An operator has it sent: it is meant.
                try empty.command("config", ["configs": [Any]()])
                try second.wait(for: "plugin has been removed", count: 2)
                #expect(!FileManager.default.fileExists(atPath: scenario.pluginFolder + "/a"))
                try second.stop()
                // And stays meant.
                let third = try scenario.startAgent(Installing.quick, endpoints: [empty.address])
                // Where it comes before the disk was looked at, it is doubtful once more.
                try eventually("the configuration", state: scenario.state) {
                    let received = third.messages(with: "configuration received").count
                    return (received + third.messages(with: "names no plugin").count == 6).asAnswer
                }
                try third.stop()
                #expect(third.messages(with: "plugin has been loaded").count == 3)
            }
        }

        /// Folders of plugins that went out of the list while no agent was there, and of the original agent.
        @Test func foldersThatNobodyWantsAreRemoved() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let kept = try TestComponent(script: "kept", "1.0.0.1", TestComponent.waits, at: web)
                let gone = try TestComponent(script: "gone", "1.0.0.1", TestComponent.waits, at: web)
                // As the original agent leaves them: no manifest, and one with the program that is wanted.
                for (name, text) in [("old", "old"), ("kept", text(of: web.files + "/" + kept.file))] {
                    try FileManager.default.createDirectory(
                        atPath: scenario.pluginFolder + "/" + name,
                        withIntermediateDirectories: true
                    )
                    try write(text, to: scenario.file(name, of: name))
                }
                try write("mine", to: scenario.file("module.ko", of: "kept"))
                let first = try scenario.startAgent(Installing.quick)
                try first.wait(for: "get connection successfully")
                #expect(FileManager.default.fileExists(atPath: scenario.pluginFolder + "/old"))
                try server.configure([kept, gone])
                try first.wait(for: "plugin has been loaded", count: 2)
                try first.wait(for: "plugin has been removed")
                #expect(!web.requests.contains { $0.contains(kept.file) }, "what was there is what was wanted")
                first.signal(SIGKILL)
                _ = try first.waitForExit()
                try server.configure([kept])
                let second = try scenario.startAgent(Installing.quick)
                try second.wait(for: "plugin has been removed", count: 2)
                let left = try FileManager.default.contentsOfDirectory(atPath: scenario.pluginFolder)
                #expect(Set(left) == ["kept", ".components"])
                #expect(text(of: scenario.file("module.ko", of: "kept")) == "mine")
                try second.stop()
            }
        }

        /// Plugins of an agent that was killed are ended before they are started again, also those that ignore everything.
        @Test func orphansAreEnded() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let stubborn = "trap '' TERM HUP\necho $$ >pid\nwhile :; do sleep 0.1; done"
                let component = try TestComponent(script: "stubborn", "1.0.0.1", stubborn, at: web)
                let child = "sleep 1000 &\necho $! >child\n" + TestComponent.waits
                let parent = try TestComponent(script: "parent", "1.0.0.1", child, at: web)
                // One that left its group and its session did so in order to stay.
                let away = "setsid sleep 1001 &\nsleep 0.2\necho $! >away\n" + TestComponent.waits
                let leaver = try TestComponent(script: "leaver", "1.0.0.1", away, at: web)
                let first = try scenario.startAgent(Installing.quick)
                try first.wait(for: "get connection successfully")
                try server.configure([component, parent, leaver])
                let old = try Self.pid("pid", of: "stubborn", in: scenario)
                let sleeper = try Self.pid("child", of: "parent", in: scenario)
                let daemon = try Self.pid("away", of: "leaver", in: scenario)
                first.signal(SIGKILL)
                _ = try first.waitForExit()
                let second = try scenario.startAgent(Installing.quick)
                try eventually("another process", state: scenario.state) {
                    try (Self.pid("pid", of: "stubborn", in: scenario) != old).asAnswer
                }
                try eventually("the end of the old ones", state: scenario.state) {
                    (!Self.runs(old) && !Self.runs(sleeper)).asAnswer
                }
                #expect(second.messages(with: "plugin stubborn of an earlier agent still runs; it is ended").count == 1)
                #expect(text(of: scenario.file("started", of: "stubborn")) == "1.0.0.1\n1.0.0.1\n")
                #expect(Self.runs(daemon))
                kill(daemon, SIGKILL)
                try second.stop()
            }
        }

        /// What a script has written of itself.
        private static func pid(_ name: String, of plugin: String, in scenario: Scenario) throws -> pid_t {
            try eventually("\(plugin)'s \(name)", state: scenario.state) {
                pid_t(text(of: scenario.file(name, of: plugin)).dropLast())
            }
        }

        /// Alive, and no zombie that nobody fetches.
        private static func runs(_ pid: pid_t) -> Bool {
            let status = text(of: "/proc/\(pid)/stat")
            guard let end = status.lastIndex(of: ")") else { return false }
            return status[end...].dropFirst(2).first != "Z"
        }

        /// What was put in the program's place is not started; what the checksum stands for is installed again.
        @Test func aProgramThatWasChangedIsReplaced() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let waits = "while [ ! -e die ]; do sleep 0.05; done\nrm die\nexit 1"
                let component = try TestComponent(script: "a", "1.0.0.1", waits, at: web)
                let agent = try scenario.startAgent(
                    Installing.with(["plugin_restart_min": "50ms", "probation": "50ms"])
                )
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                try agent.wait(for: "has proven itself")
                let evil = "#!/bin/sh\necho evil >>started\n" + TestComponent.waits + "\n"
                // In another file, so that the shell that runs is not disturbed.
                try write(evil, to: scenario.folder.path + "/evil")
                #expect(unsafe rename(scenario.folder.path + "/evil", scenario.file("a", of: "a")) == 0)
                try write("", to: scenario.file("die", of: "a"))
                try agent.wait(for: "it is not the file that was checked")
                try agent.wait(for: "plugin has been loaded", count: 2)
                try eventually("the start") {
                    (text(of: scenario.file("started", of: "a")) == "1.0.0.1\n1.0.0.1\n").asAnswer
                }
                #expect(try TestComponent.checksum(scenario.file("a", of: "a")) == component.sha256)
                try agent.stop()
            }
        }

        /// While no server is there and memory is used up, a plugin that ends is started again, and can be stopped.
        @Test func aPluginThatEndsWithoutMemoryIsRestarted() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["rate": 0, "seconds": 600])
                let server = try scenario.startServer()
                let agent = try scenario.startAgent(
                    Installing.with(["memory": "1MiB", "disk": "0", "when_full": "block"], "spool").merging(
                        Installing.with(["plugin_restart_min": "50ms"])
                    ) { $0.merging($1) { $1 } }
                )
                try agent.wait(for: "plugin has been loaded")
                try eventually("records", state: scenario.state) { try (server.stats().records > 1000).asAnswer }
                server.crash()
                try agent.wait(for: "connection to")
                let launch = try writer.waitForLaunch(state: scenario.state)
                var last = (written: "", since: ContinuousClock.now)
                try eventually("the plugin to be held back", state: scenario.state) {
                    let written = text(of: "/proc/\(launch.pid)/io").split(separator: "\n").prefix(2).joined()
                    if written != last.written { last = (written, ContinuousClock.now) }
                    return (ContinuousClock.now - last.since > .milliseconds(500)).asAnswer
                }
                kill(launch.pid, SIGKILL)
                try agent.wait(for: "plugin ended unexpectedly: signal 9")
                try agent.wait(for: "plugin has been loaded", count: 2)
                // Far less than the limit for a stop.
                try agent.stop(seconds: 12)
            }
        }

        /// A plugin that floods its standard error fills no disk, and its last words are in the log.
        @Test func stderrIsCapped() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let flood = """
                    yes 'something has gone wrong, again and again' | head -c 300000000 >&2
                    sleep 0.5
                    echo last words >&2
                    exit 4
                    """
                let component = try TestComponent(script: "a", "1.0.0.1", flood, at: web)
                let agent = try scenario.startAgent(Installing.with(["plugin_restart_min": "1min"]))
                try agent.wait(for: "get connection successfully")
                try server.configure([component])
                let path = scenario.file("a.stderr", of: "a")
                var largest: off_t = 0
                try eventually("the end", state: scenario.state) {
                    var status = stat()
                    if unsafe stat(path, &status) == 0 { largest = max(largest, status.st_size) }
                    return agent.messages(with: "plugin ended unexpectedly: exit code 4").isEmpty ? nil : ()
                }
                let message = try agent.wait(for: "plugin ended unexpectedly: exit code 4")[0]
                #expect(message.contains("the end of its stderr: ") && message.contains("last words"), "\(message)")
                #expect(agent.messages(with: "bytes to its stderr, of which the end is kept").count == 1)
                var status = stat()
                #expect(unsafe stat(path, &status) == 0 && status.st_size <= 1 << 20, "\(status.st_size)")
                #expect(largest < 100_000_000)
                print("stderr: at most \(largest) of 300,000,000 bytes at once")
                try agent.stop()
            }
        }
    }
}
