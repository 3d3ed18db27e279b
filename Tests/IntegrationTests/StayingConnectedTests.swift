// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Three servers and a Service Discovery: whatever happens to a server, the agent is soon at another one, its plugins
/// notice nothing, and what they write is complete in what the servers got together.
extension Integration {
    @Suite struct StayingConnected {
        /// A plugin that writes all the time, the servers, and an agent that is connected to the first of them.
        private static func run(
            writer: [String: Any] = ["rate": 1000, "seconds": 600],
            serverArguments: [String] = [],
            settings: Settings = [:],
            _ body: (Cluster, AgentRun) throws -> Void
        ) throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", writer)
                let cluster = try Cluster(scenario, arguments: serverArguments)
                let agent = try cluster.startAgent(settings)
                try cluster.waitForStream(1, at: 0)
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                try cluster.waitForTraffic(at: 0)

                try body(cluster, agent)

                #expect(writer.launch?.pid == pid && kill(pid, 0) == 0, "the plugin was restarted")
                #expect(agent.messages(with: "plugin has been loaded").count == 1)
                try agent.stop()
                try cluster.expectNothingMissing(agent)
            }
        }

        @Test func serverCrashes() throws {
            try Self.run { cluster, agent in
                cluster.servers[0].crash()
                // The discovery does not know yet; who was just lost comes last all the same.
                try cluster.waitForStream(2, at: 1)
                try cluster.waitForTraffic(at: 1)
                cluster.servers[1].crash()
                try cluster.waitForStream(3, at: 2)
                try cluster.waitForTraffic(at: 2)
                cluster.expectOneStreamAtATime(elsewhere: false)
                #expect(agent.messages(with: "connection to \(cluster.servers[0].address) ended: ").count == 1)
                #expect(Set(cluster.servers[2].networkModes) == ["sd"])
            }
        }

        /// The same while much is on its way: buffers are full wherever there are some.
        @Test func busyServerCrashes() throws {
            let slow = ["-slow-bytes-per-second", "\(8 << 20)"]
            try Self.run(writer: ["count": 40_000], serverArguments: slow) { cluster, _ in
                try cluster.waitForTraffic(at: 0, records: 4000)
                cluster.servers[0].crash()
                try cluster.waitForStream(2, at: 1)
                _ = try cluster.scenario.plugins[0].waitUntilDone(state: cluster.scenario.state)
                try eventually("the last record", state: cluster.scenario.state) {
                    try (cluster.servers[1].stats().lanes["writer"]?.highest == 39_999).asAnswer
                }
            }
        }

        /// An end of stream with OK is the server's wish to be left: the old stream ends entirely, the discovery is asked
        /// again, and another server comes first though this one's weight is still the lowest.
        @Test func rebalancing() throws {
            try Self.run { cluster, agent in
                var place = 0
                for round in 1...6 {
                    try cluster.prefer([place] + cluster.servers.indices.filter { $0 != place })
                    let asked = cluster.discovery.events("request").count
                    try cluster.servers[place].command("end")
                    place = place == 0 ? 1 : 0
                    try cluster.waitForStream(round + 1, at: place)
                    #expect(cluster.discovery.events("request").count > asked)
                    try cluster.waitForTraffic(at: place)
                }
                cluster.expectOneStreamAtATime()
                #expect(agent.messages(with: " ended: ").count == 6)
            }
        }

        /// With nowhere else to go, the same server takes the agent back: it never finds the old stream still there.
        @Test func rebalancingOfAnOnlyServer() throws {
            try Scenario.run { scenario in
                try scenario.addWriter("writer", ["rate": 1000, "seconds": 600])
                let cluster = try Cluster(scenario, count: 1)
                let agent = try cluster.startAgent(["timeouts": ["reconnect_min": "10ms", "reconnect_max": "10ms"]])
                for round in 1...10 {
                    try cluster.waitForStream(round, at: 0)
                    try cluster.waitForTraffic(at: 0, records: 20)
                    if round < 10 { try cluster.servers[0].command("end") }
                }
                try agent.stop()
                cluster.expectOneStreamAtATime()
                #expect(cluster.servers[0].events("stream_refused").count == 0)
                try cluster.expectNothingMissing(agent)
            }
        }

        @Test func goaway() throws {
            try Self.run { cluster, agent in
                try cluster.servers[0].command("goaway")
                try cluster.waitForStream(2, at: 1)
                try cluster.servers[0].wait(for: "drained")
                try cluster.waitForTraffic(at: 1)
                cluster.expectOneStreamAtATime()
                #expect(
                    cluster.servers[0].events("stream_ended").first?["reason"].string == "half-closed by the agent"
                )
                #expect(agent.messages(with: "connection to \(cluster.servers[0].address) ended: ").count == 1)
            }
        }

        /// A server that goes away and then does not end the stream is waited for as long as `flush` says.
        @Test func goawayOfAServerThatHangs() throws {
            try Self.run(settings: ["timeouts": ["flush": "300ms"]]) { cluster, _ in
                try cluster.servers[0].command("pause")
                try cluster.servers[0].command("goaway")
                try cluster.waitForStream(2, at: 1)
                try cluster.waitForTraffic(at: 1)
                try cluster.servers[0].command("resume")
                try cluster.servers[0].wait(for: "stream_ended")
                cluster.expectOneStreamAtATime(elsewhere: false)
            }
        }

        /// The second connection to a server resumes the session of the first, whose keys it need not agree on anew.
        @Test(arguments: ["1.2", "1.3"]) func tlsSessionsAreResumed(version: String) throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, count: 1, arguments: ["-max-tls", version])
                let agent = try cluster.startAgent()
                for round in 1...3 {
                    try cluster.waitForStream(round, at: 0)
                    try agent.wait(for: "get connection successfully", count: round)
                    if round < 3 { try cluster.servers[0].command("end") }
                }
                let connections = cluster.servers[0].events("connection")
                #expect(connections.map { $0["resumed"].bool } == [false, true, true])
                try agent.stop()
            }
        }

        // MARK: Refusals

        @Test(arguments: [("conflict", "agentID conflict"), ("full", "out of max connection limit")])
        func othersAreTriedFirst(command: String, reason: String) throws {
            try Self.run { cluster, agent in
                try cluster.servers[1].command(command, ["on": true])
                try cluster.servers[0].command("end")
                try cluster.waitForStream(2, at: 2)
                #expect(cluster.servers[1].events("stream_refused").count == 1)
                let lines = agent.messages(with: "cannot use \(cluster.servers[1].address): ")
                #expect(lines.count == 1 && lines[0].contains(reason), "\(lines)")
                try cluster.waitForTraffic(at: 2)
                cluster.expectOneStreamAtATime()
            }
        }

        /// All refuse: rounds with pauses between them, each server once in a round; then one takes the agent.
        @Test(arguments: ["conflict", "full"])
        func allRefuse(command: String) throws {
            try Self.run { cluster, agent in
                for server in cluster.servers { try server.command(command, ["on": true]) }
                try cluster.servers[0].command("end")
                for server in cluster.servers { try server.wait(for: "stream_refused", count: 3) }
                #expect(try agent.askForState().contains("state: running"), "a conflict is no fault at first")
                try cluster.servers[2].command(command, ["on": false])
                try cluster.waitForStream(2, at: 2)
                try cluster.waitForTraffic(at: 2)
                let rounds = agent.messages(with: "next attempt in ").count
                for server in cluster.servers {
                    #expect(server.events("stream_refused").count <= rounds)
                }
                cluster.expectOneStreamAtATime()
            }
        }

        /// What a server says after a host's network died, until it notices that itself.
        @Test func deadEntry() throws {
            try Scenario.run { scenario in
                let writer = try scenario.addWriter("writer", ["rate": 1000, "seconds": 600])
                let cluster = try Cluster(scenario, count: 1, arguments: ["-dead-entry", "3600"])
                let agent = try cluster.startAgent(["timeouts": ["conflict_abnormal": "1s"]])
                let server = cluster.servers[0]
                try cluster.waitForStream(1, at: 0)
                let pid = try writer.waitForLaunch(state: scenario.state).pid
                try cluster.waitForTraffic(at: 0)
                #expect(try agent.askForState().contains("state: running"))
                try server.command("disconnect")
                try server.wait(for: "stream_refused", count: 3)
                #expect(server.events("stream_refused").allSatisfy { $0["dead_entry"].int == 1 })
                let abnormal = try eventually("the state to be abnormal", state: scenario.state) {
                    let state = try agent.askForState()
                    return state.contains("state: abnormal") ? state : nil
                }
                #expect(abnormal.contains("agentID conflict"), "\(abnormal)")
                try server.command("forget")
                try cluster.waitForStream(2, at: 0)
                try cluster.waitForTraffic(at: 0)
                #expect(try agent.askForState().contains("state: running"))
                // The stream begins with a heartbeat that is made before it is known that the conflict is over.
                try eventually("the state to be running at the server", state: scenario.state) {
                    (server.events("heartbeat").last?["fields"]["state"].string == "running").asAnswer
                }
                #expect(writer.launch?.pid == pid && kill(pid, 0) == 0)
                try agent.stop()
                cluster.expectOneStreamAtATime(elsewhere: false)
                try cluster.expectNothingMissing(agent)
            }
        }

        /// Where others are, an entry that a server keeps is no reason to wait.
        @Test func deadEntriesAreAvoided() throws {
            try Self.run(serverArguments: ["-dead-entry", "3600"]) { cluster, agent in
                try cluster.servers[0].command("disconnect")
                try cluster.waitForStream(2, at: 1)
                try cluster.waitForTraffic(at: 1)
                #expect(cluster.servers[0].events("stream_refused").count == 0, "who was just lost comes last")
                try cluster.servers[1].command("disconnect")
                try cluster.waitForStream(3, at: 2)
                try cluster.waitForTraffic(at: 2)
                #expect(cluster.servers[1].events("stream_refused").count == 0)
                cluster.expectOneStreamAtATime(elsewhere: false)
            }
        }

        // MARK: Silence

        /// A peer that stops without a word, as a host that lost its power: a PING finds out, traffic or not.
        @Test(arguments: [true, false])
        func deadPeer(withTraffic: Bool) throws {
            let timeouts = ["keepalive": "300ms", "keepalive_timeout": "200ms"]
            let polite = ["-min-ping-ms", "1"]
            if withTraffic {
                return try Self.run(
                    serverArguments: polite,
                    settings: ["timeouts": timeouts]
                ) { cluster, agent in
                    try Self.suspendFirst(of: cluster, agent)
                    try cluster.waitForTraffic(at: 1)
                    cluster.servers[0].resume()
                    try cluster.servers[0].wait(for: "stream_ended")
                }
            }
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, arguments: polite)
                let agent = try cluster.startAgent(["timeouts": timeouts])
                try cluster.waitForStream(1, at: 0)
                try agent.wait(for: "get connection successfully")
                try Self.suspendFirst(of: cluster, agent)
                cluster.servers[0].resume()
                try agent.stop()
            }
        }

        /// A server that is silent because nothing happens answers PINGs, and keeps its stream.
        @Test func livingPeer() throws {
            try Scenario.run { scenario in
                let cluster = try Cluster(scenario, arguments: ["-min-ping-ms", "1"])
                let timeouts = ["keepalive": "100ms", "keepalive_timeout": "5s", "heartbeat": "1s"]
                let agent = try cluster.startAgent(["timeouts": timeouts])
                try cluster.servers[0].wait(for: "heartbeat", count: 3)
                try agent.stop()
                #expect(cluster.servers.map { $0.events("stream_opened").count } == [1, 0, 0])
                #expect(agent.messages(with: " ended: ") == [])
            }
        }

        private static func suspendFirst(of cluster: Cluster, _ agent: AgentRun) throws {
            cluster.servers[0].suspend()
            try cluster.waitForStream(2, at: 1)
            let lines = try agent.wait(for: "connection to \(cluster.servers[0].address) ended: ")
            #expect(lines.count == 1, "\(lines)")
            print(lines.first ?? "")
            cluster.expectOneStreamAtATime(elsewhere: false)
        }
    }
}
