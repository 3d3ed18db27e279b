// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Connected, with plugins that have nothing to say: the agent wakes for its heartbeat and for bytes of the server.
extension Integration {
    @Suite(.alone) struct Idle {
        private static let strace = ["/usr/bin/strace", "/bin/strace", "/usr/local/bin/strace"].first {
            FileManager.default.isExecutableFile(atPath: $0)
        }

        /// One return of a wait: what was read before the next one.
        private struct Wakeup: CustomStringConvertible {
            var timer = false
            var socketBytes = 0
            var description: String {
                [timer ? "timer" : nil, socketBytes > 0 ? "\(socketBytes) bytes from the server" : nil]
                    .compactMap(\.self).joined(separator: " and ")
            }
        }

        @Test(.disabled(if: TestEnvironment.isSanitized, "strace and LeakSanitizer exclude each other"))
        func wakesOnlyForWhatIsDue() throws {
            let strace = try #require(Self.strace, "strace is not installed; `bash build.sh test` installs it")
            // In the long form the default heartbeat, for 130 s.
            let (heartbeat, beats) = TestEnvironment.isSoak ? ("60s", 2) : ("1s", 5)
            // With the default keepalive of 30 s, and a look at the time when the heartbeat's answer came in between.
            let pings = TestEnvironment.isSoak ? 0...4 : 0...0
            let looks = TestEnvironment.isSoak ? 0...(pings.upperBound + beats) : 0...0
            try Scenario.run { scenario in
                for index in 1...3 { try scenario.addWriter("idle\(index)") }
                let server = try scenario.startServer()
                let trace = scenario.folder.path + "/trace"
                // The tracer is the grandchild, so that the process is the agent's own.
                let agent = try scenario.startAgent(
                    // In the short form there is no time for the tail to be confirmed: it is left alone.
                    [
                        "timeouts": TestEnvironment.isSoak
                            ? ["heartbeat": heartbeat]
                            : ["heartbeat": heartbeat, "spool_age": "1h", "confirm_ping": "1h"]
                    ],
                    launcher: [
                        strace, "-D", "-yy", "-e", "trace=epoll_wait,epoll_pwait,epoll_pwait2,read,recvfrom,recvmsg",
                        "-o",
                        trace,
                    ]
                )
                try agent.wait(for: "plugin has been loaded", count: 3)
                for plugin in scenario.plugins { _ = try plugin.waitUntilDone(state: scenario.state) }
                try agent.waitUntilQuiet()
                // The stream begins with a heartbeat; the next comes when the timer says so. With the first ones of the
                // plugins their folders are walked, by a process that ends then; the next walk is in 10 min.
                #expect(server.events("heartbeat").count == 1)
                try server.wait(for: "plugin_heartbeat", count: 3, seconds: 70)
                // For the tail to be confirmed by two PINGs.
                if TestEnvironment.isSoak { sleep(30) }
                try eventually("the spool's worker to end", state: scenario.state) {
                    Self.workers(of: agent.pid).isEmpty.asAnswer
                }
                try agent.waitUntilQuiet()
                let start = Self.wakeups(in: trace).count
                let before = server.events("heartbeat").count
                try server.wait(for: "heartbeat", count: before + beats, seconds: 140)
                if TestEnvironment.isSoak { sleep(10) }
                try agent.waitUntilQuiet()
                let wakeups = Array(Self.wakeups(in: trace).dropFirst(start))
                print("idle: woken by \(wakeups)")

                // Expected: for each heartbeat the timer, then what the server answers to it (a PING and a window update,
                // mostly in one piece); for each silence of 30 s the timer and the answer to our PING; nothing else.
                #expect(server.events("heartbeat").count == before + beats)
                #expect(looks.contains(wakeups.count { $0.timer } - beats), "\(wakeups)")
                let answers = wakeups.filter { !$0.timer }
                #expect(answers.allSatisfy { $0.socketBytes > 0 }, "\(wakeups)")
                #expect((beats...3 * beats + pings.upperBound).contains(answers.count), "\(wakeups)")
                #expect(server.events("connection").count == 1)
                try agent.stop()
            }
        }

        /// Disk workers that are children of a process.
        private static func workers(of parent: pid_t) -> [String] {
            text(of: "/proc/\(parent)/task/\(parent)/children").split(separator: " ").map(String.init).filter {
                text(of: "/proc/\($0)/comm") == "elkeid-disk\n"
            }
        }

        /// The returns of waits that were without a timeout, each with what was read before the next one.
        private static func wakeups(in trace: String) -> [Wakeup] {
            var wakeups: [Wakeup] = []
            for line in text(of: trace).split(separator: "\n") {
                let result =
                    line.split(separator: "=").last.flatMap { Int($0.trimmingCharacters(in: .whitespaces)) } ?? 0
                if line.hasPrefix("epoll") {
                    if line.contains(", -1) = ") || line.contains(", NULL") { wakeups.append(Wakeup()) }
                } else if result > 0, !wakeups.isEmpty {
                    if line.contains("timerfd") { wakeups[wakeups.count - 1].timer = true }
                    if line.contains("<TCP") { wakeups[wakeups.count - 1].socketBytes += result }
                }
            }
            return wakeups
        }
    }
}
