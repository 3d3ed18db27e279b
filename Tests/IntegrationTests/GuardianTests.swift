// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// What the service manager and the operator see and ask for: sd_notify, SIGHUP, SIGUSR1, SIGUSR2.
extension Integration {
    @Suite struct Guardian {
        @Test(arguments: [false, true]) func tellsTheServiceManager(inAbstractNamespace: Bool) throws {
            try Scenario.run { scenario in
                let address = inAbstractNamespace ? "@elkeid-test-\(UUID())" : scenario.folder.path + "/notify"
                let socket = try NotifySocket(address)
                let plugin = try scenario.addWriter()
                let server = try scenario.startServer()
                let environment =
                    TestEnvironment.withoutProxies + ["NOTIFY_SOCKET=\(address)", "WATCHDOG_USEC=200000"]
                let agent = try scenario.startAgent(options: .init(environment: environment))
                try socket.wait(for: "READY=1")
                #expect(try socket.wait(for: "STATUS=").first?.contains("\n") == false)
                try socket.wait(for: server.address)
                try socket.wait(for: "WATCHDOG=1", count: 5)
                // What is for the agent is not for plugins, which would speak in its name.
                let launch = try plugin.waitForLaunch(state: scenario.state)
                #expect(!launch.env.contains { $0.hasPrefix("NOTIFY_SOCKET=") || $0.hasPrefix("WATCHDOG_") })

                // systemd 253 wants the time of the reload, and READY after it.
                agent.signal(SIGHUP)
                #expect(try socket.wait(for: "RELOADING=1").first?.contains("\nMONOTONIC_USEC=") == true)
                try socket.wait(for: "READY=1", count: 2)
                try agent.stop()
                let messages = socket.messages
                let stopping = try #require(messages.firstIndex { $0.hasPrefix("STOPPING=1") })
                #expect(!messages[stopping...].contains("READY=1"))
            }
        }

        /// A loop that does not turn does not say that it lives.
        @Test func hangingLoopIsSilent() throws {
            try Scenario.run { scenario in
                let address = scenario.folder.path + "/notify"
                let socket = try NotifySocket(address)
                _ = try scenario.startServer()
                let agent = try scenario.startAgent(
                    options: .init(
                        environment: TestEnvironment.withoutProxies + [
                            "NOTIFY_SOCKET=\(address)", "WATCHDOG_USEC=100000",
                        ]
                    )
                )
                try socket.wait(for: "WATCHDOG=1", count: 2)
                agent.signal(SIGSTOP)
                try eventually("the agent to be stopped") {
                    text(of: "/proc/\(agent.pid)/status").contains("State:\tT").asAnswer
                }
                let before = socket.messages.count
                // Ten times the interval; there is no event to wait for when nothing is to happen.
                usleep(500_000)
                #expect(socket.messages.count == before)
                agent.signal(SIGCONT)
                try socket.wait(for: "WATCHDOG=1", count: socket.messages.count + 2)
                try agent.stop()
            }
        }

        /// A watchdog for another process is nothing to ping.
        @Test func anothersWatchdogIsLeftAlone() throws {
            try Scenario.run { scenario in
                let address = scenario.folder.path + "/notify"
                let socket = try NotifySocket(address)
                let server = try scenario.startServer()
                let environment =
                    TestEnvironment.withoutProxies + [
                        "NOTIFY_SOCKET=\(address)", "WATCHDOG_USEC=20000", "WATCHDOG_PID=1",
                    ]
                let agent = try scenario.startAgent(options: .init(environment: environment))
                try server.wait(for: "heartbeat")
                try agent.stop()
                #expect(!socket.messages.contains { $0.contains("WATCHDOG=1") })
            }
        }

        @Test func badConfigurationIsRefused() throws {
            try Scenario.run { scenario in
                let server = try scenario.startServer()
                let settings: Settings = ["agent": ["idc": "one"]]
                let agent = try scenario.startAgent(settings)
                try server.wait(for: "heartbeat")
                func text(_ settings: Settings) throws -> String {
                    AgentRun.configuration(
                        in: scenario.folder.path,
                        endpoints: [server.address],
                        certificates: try ClientCertificates(.ordinary),
                        settings: settings
                    )
                }
                let refusal = "is refused, the configuration in use stays"
                try agent.reload(text(["agent": ["idc": "two", "log_levle": "debug"]]))
                try agent.wait(for: refusal)
                #expect(agent.messages(with: "log_levle").count == 1, "it says which key")
                try agent.reload(text(["agent": ["idc": "three"], "timeouts": ["connect": "soon"]]))
                try agent.wait(for: refusal, count: 2)
                try FileManager.default.removeItem(atPath: scenario.folder.path + "/agent.conf")
                agent.signal(SIGHUP)
                try agent.wait(for: "the configuration in use stays", count: 3)
                #expect(server.events("heartbeat").count == 1, "the connection was left alone")

                try agent.reload(text(["agent": ["idc": "four"]]))
                try agent.wait(for: "configuration reloaded")
                let heartbeats = try server.wait(for: "heartbeat", count: 2)
                #expect(heartbeats.compactMap { $0["fields"]["idc"].string } == ["one", "four"])
                try agent.stop()
            }
        }

        @Test func dumpsItsStateAndReturnsMemory() throws {
            try Scenario.run { scenario in
                let plugin = try scenario.addWriter("writer", ["count": 100])
                _ = try scenario.startServer()
                let agent = try scenario.startAgent()
                let pid = try plugin.waitForLaunch(state: scenario.state).pid
                _ = try plugin.waitUntilDone(state: scenario.state)
                #expect(try agent.askForState() == "state: running []")
                for text in ["agent: version ", "transfer: ", "loop: ", "memory: ", "ledger: ", "lane writer: "] {
                    #expect(agent.messages(with: text).contains { $0.hasPrefix(text) }, "\(text)")
                }
                #expect(agent.messages(with: "plugin writer: version 1.0.0.0").first?.contains("pid \(pid)") == true)
                agent.signal(SIGUSR2)
                #expect(try agent.wait(for: "memory returned").first?.contains("rss_after") == true)
                try agent.stop()
            }
        }

        /// However long each part may take: together it is not longer than `stop`.
        @Test func stopHasALimit() throws {
            try Scenario.run { scenario in
                let plugin = try scenario.addWriter("writer", ["mode": "ignore-eof,ignore-term", "count": 10])
                _ = try scenario.startServer()
                let agent = try scenario.startAgent([
                    "timeouts": ["plugin_drain": "40s", "plugin_term": "40s", "stop": "300ms"]
                ])
                let pid = try plugin.waitForLaunch(state: scenario.state).pid
                _ = try plugin.waitUntilDone(state: scenario.state)
                try agent.stop(seconds: 20)
                #expect(agent.messages(with: "stopping takes longer than [timeouts] stop").count == 1)
                try eventually("the plugin's end") { (kill(pid, 0) != 0).asAnswer }
            }
        }
    }
}
