// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// Carries a schedule out against a real agent, and knows what must have arrived in the end.
final class DeliveryRun {
    private static let writers = ["w1", "w2", "w3", "w4"]
    /// What the agent asks of a pipe, in bytes.
    private static let pipeSize = 1 << 20
    /// Beyond this records are small, and the server checks less: it is the agent that is tested.
    private static let ordinaryRate = 2000

    private let schedule: DeliverySchedule
    private let scenario: Scenario
    /// Records a second of all writers together.
    private let rate: Int
    private let proxy: FaultProxy
    /// One after the other.
    private var servers: [InteropServer]
    private var agent: AgentRun
    private var agentWasKilled = false
    /// What was written by writers whose agent was killed, by lane.
    private var cutOff: [String: Int] = [:]
    /// Of the agent's own lane, when all others had sent everything.
    private var own: AgentRun.Ledger?

    private var server: InteropServer { servers[servers.count - 1] }

    /// Everything runs, and records arrive.
    init(_ schedule: DeliverySchedule, rate: Int, in scenario: Scenario) throws {
        self.schedule = schedule
        self.scenario = scenario
        self.rate = rate
        for name in Self.writers {
            try scenario.addWriter(name, Self.writer(name, rate: rate, seconds: schedule.seconds(from: 0)))
        }
        let server = try scenario.startServer(Self.serverArguments(rate: rate), dumps: true)
        let proxy = try scenario.startFaults(target: server.address)
        servers = [server]
        self.proxy = proxy
        agent = try scenario.startAgent(Outage.settings, endpoints: [proxy.address])
        try eventually("records of all writers", state: scenario.state) {
            try (server.stats().lanes.count == Self.writers.count).asAnswer
        }
    }

    private static func recordSize(rate: Int) -> Int { rate > ordinaryRate ? 120 : 600 }

    private static func serverArguments(rate: Int) -> [String] {
        Outage.serverArguments + (rate > ordinaryRate ? ["-fast"] : [])
    }

    /// Each process of a writer has a lane of its own at the server.
    private static func writer(_ name: String, rate: Int, seconds: Double) -> [String: Any] {
        [
            "lane": "\(name)-%p", "rate": rate / writers.count, "seconds": seconds,
            "record_size": recordSize(rate: rate),
        ]
    }

    // MARK: The schedule

    /// Lives through the schedule, and on until everything has been sent; then the agent is stopped.
    func run() throws {
        for (index, step) in schedule.steps.enumerated() {
            try begin(step.fault)
            usleep(UInt32(step.length) * 1000)
            try end(step.fault, next: index + 1)
            usleep(UInt32(step.pause) * 1000)
        }
        let last = try waitForWriters()
        try eventually("everything to be sent", seconds: 30, state: scenario.state) { try isSettled(last).asAnswer }
        try agent.stop()
    }

    private func begin(_ fault: DeliverySchedule.Fault) throws {
        switch fault {
        case .reset: try proxy.reset()
        case .refusal:
            try proxy.refuse(true)
            try proxy.reset()
        case .blackHole: try proxy.blackhole(true)
        case .halfOpen: try proxy.halfOpen()
        case .swallow: try proxy.swallow()
        case .trickle: try proxy.rate(1)
        case .latency: try proxy.latency(milliseconds: 300)
        case .stopReading: try proxy.stopReading(true)
        case .pause: try server.command("pause")
        case .end: try server.command("end")
        case .serverKilled: server.crash()
        case .agentKilled: try killAgent()
        }
    }

    /// - Parameter next: the step that follows.
    private func end(_ fault: DeliverySchedule.Fault, next: Int) throws {
        switch fault {
        case .reset, .halfOpen, .end: break
        case .refusal, .blackHole, .trickle, .latency, .stopReading: try proxy.clear()
        // A server keeps the id of a stream that ended without its knowledge for ten minutes.
        case .swallow: try proxy.reset()
        case .pause: try server.command("resume")
        case .serverKilled:
            servers.append(try scenario.startServer(Self.serverArguments(rate: rate), dumps: true))
            try proxy.target(server.address)
        case .agentKilled: try startAgent(seconds: schedule.seconds(from: next))
        }
    }

    /// SIGKILL. The writers find their pipes closed, and end; they are waited for, to know what they had written.
    private func killAgent() throws {
        let processes = try scenario.plugins.map { try $0.waitForLaunch(state: scenario.state).pid }
        agentWasKilled = true
        agent.signal(SIGKILL)
        let exit = try agent.waitForExit()
        #expect(exit == .signal(SIGKILL))
        for (plugin, pid) in zip(scenario.plugins, processes) {
            let ended = try eventually("the end of \(plugin.name)", state: scenario.state) {
                decoded(EndedWriter.self, from: plugin.file("writer-summary.json")).flatMap {
                    $0.ended && $0.pid == pid ? $0 : nil
                }
            }
            cutOff.merge(ended.lanes) { $1 }
        }
    }

    private struct EndedWriter: Decodable {
        var pid: pid_t
        var lanes: [String: Int]
        var ended: Bool
    }

    private func startAgent(seconds: Double) throws {
        for plugin in scenario.plugins {
            try plugin.prepare(Self.writer(plugin.name, rate: rate, seconds: seconds))
        }
        agent = try scenario.startAgent(Outage.settings, endpoints: [proxy.address])
        for plugin in scenario.plugins { _ = try plugin.waitForLaunch(state: scenario.state) }
    }

    // MARK: Everything is healed

    private struct LastRecord {
        var lane: String
        var sequence: Int
    }

    /// - Returns: the last record of each writer, by its name.
    private func waitForWriters() throws -> [String: LastRecord] {
        var last: [String: LastRecord] = [:]
        for plugin in scenario.plugins {
            let summary = try plugin.waitUntilDone(state: scenario.state)
            for (lane, count) in summary.lanes { last[plugin.name] = LastRecord(lane: lane, sequence: count - 1) }
        }
        return last
    }

    /// Is nothing left but what is in flight on a connection that works, which its orderly end confirms?
    private func isSettled(_ last: [String: LastRecord]) throws -> Bool {
        let ledgers = try agent.ledgers()
        let lanes = try server.stats().lanes
        own = ledgers[AgentRun.ownLane]
        for name in Self.writers {
            guard let ledger = ledgers[name], let record = last[name], ledger.queued + ledger.spooled == 0,
                ledger.inFlight == 0 || lanes[record.lane]?.highest == record.sequence
            else {
                // Every question leaves some lines in the log.
                usleep(100_000)
                return false
            }
        }
        return true
    }

    // MARK: Expectations

    /// After `run`: what was written has arrived, in order, and the books agree with what servers got.
    func expectDelivered() throws {
        let arrived = try ArrivedRecords(dumps: servers.map(\.dump))
        var known = Set(cutOff.keys)
        for plugin in scenario.plugins {
            let summary = try #require(plugin.summary, "\(plugin.name) left no summary")
            #expect(summary.ended && summary.error == nil, "\(plugin.name)")
            for (lane, count) in summary.lanes {
                known.insert(lane)
                let missing = arrived.lanes[lane]?.missing(of: count) ?? count
                let first = arrived.lanes[lane]?.firstHole ?? arrived.lanes[lane]?.unique ?? 0
                #expect(missing == 0, "\(missing) of \(count) are missing in \(lane), from \(first) on: \(schedule)")
            }
        }
        for (lane, count) in cutOff { expectOnlyTheEndIsMissing(arrived.lanes[lane] ?? .init(), of: count, lane) }
        let invented = Set(arrived.lanes.keys).subtracting(known)
        #expect(invented.isEmpty, "\(schedule)")
        for (lane, records) in arrived.lanes {
            #expect(records.reordered == 0, "\(records.reordered) are out of order in \(lane): \(schedule)")
        }
        try expectBooks(arrived)
    }

    /// At most what a plugin wrote in its agent's last 3 s, and what was in its pipe.
    private func expectOnlyTheEndIsMissing(_ there: ArrivedRecords.Lane, of count: Int, _ lane: String) {
        let atRisk = 3 * rate / Self.writers.count + Self.pipeSize / Self.recordSize(rate: rate)
        let (missing, hole) = (count - there.unique, there.firstHole ?? 0)
        #expect(there.holes == 0, "\(there.holes) are missing in \(lane) before its end, from \(hole) on: \(schedule)")
        #expect((0...atRisk).contains(missing), "\(missing) of \(count) are missing in \(lane): \(schedule)")
        print("\(lane): the last \(missing) of \(count) were lost with the agent")
    }

    private func expectBooks(_ arrived: ArrivedRecords) throws {
        let ledger = try agent.ledger()
        print("\(arrived.unique) records, \(arrived.duplicates) duplicates, \(ledger.resent) resent")
        #expect(ledger.isBalanced && ledger.waiting == 0 && ledger.malformed == 0, "\(ledger): \(schedule)")
        let allowed: Set = agentWasKilled ? ["superseded", "uncertain"] : ["superseded"]
        #expect(allowed.isSuperset(of: ledger.dropped.keys), "\(ledger): \(schedule)")
        // What was received after the last note of a killed agent is in nobody's books.
        if agentWasKilled { return }
        #expect(arrived.duplicates <= ledger.resent, "\(arrived.duplicates) duplicates, \(ledger): \(schedule)")
        let ownLane = try #require(own)
        #expect(ledger.received - ownLane.received == arrived.unique, "\(ledger), own \(ownLane): \(schedule)")
        // The agent's own records, 1000, 1001 and 1010: some may have arrived without being confirmed. A server that is
        // not there any more has no stats, but its events and its dump are.
        let heartbeats = servers.reduce(0) { $0 + $1.events("heartbeat").count + $1.events("plugin_heartbeat").count }
        let ownConfirmed = ledger.confirmed - arrived.unique
        #expect(
            ownConfirmed >= 0 && ownConfirmed <= heartbeats + arrived.others,
            "\(heartbeats) heartbeats and \(arrived.others) others arrived, \(ledger): \(schedule)"
        )
    }
}
