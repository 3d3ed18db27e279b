// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// What a plugin finds when it starts: the contract of the original agent, and nothing by accident.
extension Integration {
    @Suite struct Launch {
        /// An untidy parent: another umask and limit, open descriptors, ignored and blocked signals, a DETAIL.
        private static let launcher = [
            "/bin/sh", "-c",
            "umask 077; ulimit -S -n 333; ulimit -H -n 2222; exec 6</dev/null 7</dev/null 9</dev/null; trap '' HUP USR2 PIPE; exec \"$@\"",
            "sh",
        ]
        private static let environment = [
            "PATH=/usr/bin:/bin:/somewhere", "DETAIL=of somebody else", "PWD=/nowhere", "WITH_EQUALS=a=b", "EMPTY=",
            "ELKEID_PLUGIN_HIGH_PRIORITY_PIPE=1",
        ]

        @Test(arguments: [false, true])
        func plugin(highPriorityPipe: Bool) throws {
            try Scenario.run { scenario in
                let detail = "{\"a\":\"b c\"}"
                let plugin = try scenario.addWriter("a_Plugin-1", ["stderr": "said on stderr\n"], detail: detail)
                let other = try scenario.addWriter("other")
                let script = try scenario.addScript(
                    "script",
                    """
                    { grep ^Sig /proc/self/status; echo "files: $(ulimit -S -n) $(ulimit -H -n)"; } >found
                    mv found found.txt
                    cat <&3 >/dev/null

                    """
                )
                try write("old", to: plugin.file("a_Plugin-1.stderr"))
                try write("old", to: plugin.file("a_Plugin-1.stdout"))
                _ = unsafe chmod(plugin.file("a_Plugin-1.stderr"), 0o644)
                _ = try scenario.startServer()
                var settings: Settings = [:]
                if highPriorityPipe { settings["plugins"] = ["high_priority_pipe": "on"] }
                let agent = try scenario.startAgent(
                    settings,
                    launcher: Self.launcher,
                    options: .init(environment: Self.environment, blocked: [SIGUSR1, SIGCHLD, SIGTERM])
                )
                let launch = try plugin.waitForLaunch(state: scenario.state)
                let otherLaunch = try other.waitForLaunch(state: scenario.state)

                #expect(launch.argv == [plugin.file("a_Plugin-1")])
                #expect(launch.cwd == plugin.directory)
                #expect(
                    Set(launch.env.filter { !$0.hasPrefix("LSAN_OPTIONS=") })
                        == Set(
                            [
                                "PATH=/usr/bin:/bin:/somewhere", "WITH_EQUALS=a=b", "EMPTY=", "PWD=\(plugin.directory)",
                                "DETAIL=\(detail)", "ELKEID_PLUGIN=\(plugin.directory)",
                            ] + (highPriorityPipe ? ["ELKEID_PLUGIN_HIGH_PRIORITY_PIPE=1"] : [])
                        )
                )
                #expect(!otherLaunch.env.contains { $0.hasPrefix("DETAIL=") })
                #expect(launch.pgid == launch.pid)
                #expect(launch.ppid == agent.pid)
                #expect(launch.umask == "0022")
                #expect(UInt64(launch.blockedSignals, radix: 16) == 0)

                let pipes = ["3", "4"] + (highPriorityPipe ? ["5"] : [])
                #expect(Set(launch.descriptors.keys) == Set(["0", "1", "2"] + pipes))
                #expect(launch.descriptors["0"] == "/dev/null")
                #expect(launch.descriptors["1"] == "/dev/null")
                #expect(launch.descriptors["2"] == plugin.file("a_Plugin-1.stderr"))
                let targets =
                    pipes.compactMap { launch.descriptors[$0] }
                    + pipes.compactMap { otherLaunch.descriptors[$0] }
                #expect(targets.allSatisfy { $0.hasPrefix("pipe:") })
                #expect(Set(targets).count == 2 * pipes.count, "every pipe is one plugin's")
                #expect(launch.nonblocking == [])

                // What a Go program cannot say of itself: its runtime raises the limit and changes dispositions.
                let found = try eventually("found.txt", state: scenario.state) {
                    let found = text(of: script.file("found.txt"))
                    return found.isEmpty ? nil : found
                }
                #expect(found.contains("files: 333 2222\n"), "\(found)")
                for name in ["SigIgn", "SigBlk"] { #expect(Self.signals(name, in: found) == 0, "\(found)") }

                try eventually("the text on stderr") {
                    (text(of: plugin.file("a_Plugin-1.stderr")) == "said on stderr\n").asAnswer
                }
                let attributes = try FileManager.default.attributesOfItem(atPath: plugin.file("a_Plugin-1.stderr"))
                #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
                #expect(!FileManager.default.fileExists(atPath: plugin.file("a_Plugin-1.stdout")))
                try agent.stop()
            }
        }

        /// A line of /proc/PID/status; without signals 32 and 33, which belong to the C library.
        private static func signals(_ name: String, in status: String) -> UInt64? {
            let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line.flatMap { UInt64($0.suffix(16), radix: 16) }.map { $0 & ~(3 << 31) }
        }

        /// Files that are not what the configuration says are not started, and the agent says why.
        @Test func wrongFilesAreRefused() throws {
            try Scenario.run { scenario in
                let good = try scenario.addWriter("good")
                let changed = try scenario.addWriter("changed")
                let missing = try scenario.addWriter("missing")
                try FileManager.default.removeItem(atPath: missing.file("missing"))
                try write("something else", to: changed.file("changed"))
                _ = try scenario.startServer()
                let agent = try scenario.startAgent()
                _ = try good.waitForLaunch(state: scenario.state)
                try agent.wait(for: "plugin=changed version=1.0.0.0")
                try agent.wait(for: "plugin=missing version=1.0.0.0")
                #expect(changed.launch == nil && missing.launch == nil)
                try agent.stop()
            }
        }
    }
}
