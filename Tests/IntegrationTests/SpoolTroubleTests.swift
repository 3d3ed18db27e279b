// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

// A spool that is full, on a disk that is full, written by a worker that is killed.
extension Integration.Delivery {
    /// Records a second that any disk can take, with a sync for each segment that is given up.
    private static let rate = 4000
    private static let small: Settings = ["spool": ["disk": "1MiB", "memory": "8MiB"]]
    /// A fifth more than that disk.
    private static let most = (1 << 20) * 6 / 5

    // MARK: The spool is full

    /// The oldest records go, the plugin notices nothing.
    @Test(.alone) func fullSpoolDropsTheOldest() throws { try Scenario.run { try Self.dropTheOldest($0) } }

    private static func dropTheOldest(_ scenario: Scenario) throws {
        let count = 5 * rate
        let outage = try Outage(scenario, settings: small)
        try outage.prepare(["rate": rate, "count": count])
        let agent = try outage.startAgent()
        var largest = 0
        let summary = try eventually("everything to be written", state: scenario.state) {
            largest = max(largest, outage.bytes)
            return scenario.plugins[0].summary.flatMap { $0.done ? $0 : nil }
        }
        #expect(TestEnvironment.isSanitized || summary.seconds < 6, "the plugin was held back: \(summary.seconds) s")
        let before = try #require(try agent.ledgers()["w1"])
        #expect(before.dropped["spool_full", default: 0] > 0, "\(before)")
        try outage.heal()
        try eventually("the last record", state: scenario.state) {
            largest = max(largest, outage.bytes)
            return try (outage.server.stats().lanes["w1"]?.highest == count - 1).asAnswer
        }
        #expect(largest > most / 4 && largest <= most, "\(largest) bytes on the disk")
        try agent.waitUntilSent(["w1"])
        try agent.stop()
        try expectAllBut("spool_full", of: count, agent, outage)
    }

    /// Nothing goes; the plugin waits until the server is back.
    @Test func fullSpoolBlocks() throws { try Scenario.run { try Self.block($0) } }

    private static func block(_ scenario: Scenario) throws {
        let count = 60_000
        let outage = try Outage(
            scenario,
            settings: ["spool": ["disk": "1MiB", "memory": "8MiB", "when_full": "block"]]
        )
        try outage.prepare(["count": count])
        let agent = try outage.startAgent()
        let writer = scenario.plugins[0]
        let pid = try writer.waitForLaunch(state: scenario.state).pid
        var largest = 0
        var last = (bytes: 0, since: ContinuousClock.now)
        try eventually("the plugin to be held back", state: scenario.state) {
            largest = max(largest, outage.bytes)
            let bytes = bytesWritten(by: pid)
            if bytes != last.bytes { last = (bytes, ContinuousClock.now) }
            return (bytes > 1 << 20 && ContinuousClock.now - last.since > .seconds(1)).asAnswer
        }
        #expect(writer.summary?.done != true, "there was more to write than is kept")
        let held = try #require(try agent.ledgers()["w1"])
        #expect(held.dropped.isEmpty, "\(held)")
        try outage.heal()
        _ = try writer.waitUntilDone(state: scenario.state)
        try eventually("the last record", state: scenario.state) {
            largest = max(largest, outage.bytes)
            return try (outage.server.stats().lanes["w1"]?.highest == count - 1).asAnswer
        }
        #expect(largest > most / 4 && largest <= most, "\(largest) bytes on the disk")
        try agent.waitUntilSent(["w1"])
        try agent.stop()
        try expectAllBut(nil, of: count, agent, outage)
    }

    /// From its /proc/PID/io: bytes that calls of write have taken.
    private static func bytesWritten(by pid: pid_t) -> Int {
        let line = text(of: "/proc/\(pid)/io").split(separator: "\n").first { $0.hasPrefix("wchar: ") }
        return line.flatMap { Int($0.dropFirst("wchar: ".count)) } ?? 0
    }

    /// After the end of the last agent: w1 has arrived, in order and once, but for what was given up for that reason.
    private static func expectAllBut(_ reason: String?, of count: Int, _ agent: AgentRun, _ outage: Outage) throws {
        let ledger = try agent.ledger()
        #expect(ledger.isBalanced && ledger.waiting == 0 && ledger.malformed == 0, "\(ledger)")
        let dropped = ledger.dropped.filter { $0.key != "superseded" }
        let lost = dropped.values.reduce(0, +)
        #expect(dropped.keys.allSatisfy { $0 == reason } && (reason == nil || lost > 0), "\(ledger)")
        let lane = try #require(try outage.server.stats().lanes["w1"])
        #expect(lane.count == count - lost && lane.unique == lane.count, "\(lane), \(ledger)")
        #expect(lane.highest == count - 1 && lane.reordered == 0, "\(lane)")
        #expect(outage.segments == [])
        print("\(reason ?? "nothing dropped"): \(lost) of \(count)")
    }

    // MARK: The disk is full

    /// One error, an abnormal state, and the oldest records in memory go; with room again it recovers by itself.
    @Test(.enabled(if: SmallDisk.isPossible, "a file system of its own needs the right to mount one"))
    func fullDisk() throws { try Scenario.run { try Self.fillTheDisk($0) } }

    private static func fillTheDisk(_ scenario: Scenario) throws {
        let count = 6 * rate
        let outage = try Outage(
            scenario,
            settings: ["spool": ["disk": "64MiB", "memory": "4MiB"], "timeouts": ["spool_retry": "300ms"]]
        )
        let disk = try SmallDisk(at: outage.spool, size: "1m")
        defer { disk.unmount() }
        try outage.prepare(["rate": rate, "count": count])
        let agent = try outage.startAgent()
        let errors = try agent.wait(for: "the spool cannot be used: ")
        #expect(errors.first?.contains("No space left on device") == true, "\(errors)")
        try waitForState("state: abnormal", of: agent, because: "the spool cannot be used: ")
        try eventually("records to be given up", state: scenario.state) {
            let given = try agent.ledgers()["w1"]?.dropped["memory_full"] ?? 0
            if given == 0 { usleep(100_000) }
            return (given > 0).asAnswer
        }
        let said = agent.problems.filter { $0.contains("the spool cannot be used: ") }
        #expect(said.count == 1, "\(said)")

        let before = agent.messages(with: "the spool can be used again").count
        try disk.resize("64m")
        try agent.wait(for: "the spool can be used again", count: before + 1)
        try waitForState("state: running", of: agent, because: "[]")
        _ = try scenario.plugins[0].waitUntilDone(state: scenario.state)
        try outage.heal()
        try outage.waitForArrival(of: count)
        try agent.waitUntilSent(["w1"])
        try agent.stop()
        try expectAllBut("memory_full", of: count, agent, outage)
    }

    private static func waitForState(_ state: String, of agent: AgentRun, because reason: String) throws {
        try eventually(state, state: agent.state) {
            let said = try agent.askForState()
            let isSaid = said.contains(state) && said.contains(reason)
            if !isSaid { usleep(100_000) }
            return isSaid.asAnswer
        }
    }

    // MARK: The worker dies

    /// Whatever it was about to write is written by the next one.
    @Test func killedDiskWorkers() throws { try Scenario.run { try Self.killWorkers($0) } }

    private static func killWorkers(_ scenario: Scenario) throws {
        let (count, rounds) = (5 * rate, 4)
        let outage = try Outage(scenario)
        try outage.prepare(["rate": rate, "count": count])
        let agent = try outage.startAgent()
        for round in 1...rounds {
            let before = outage.bytes
            try eventually("the spool to grow", state: scenario.state) { (outage.bytes > before).asAnswer }
            let found = try eventually("a disk worker", state: scenario.state) {
                let all = workers(of: agent.pid)
                return all.isEmpty ? nil : all
            }
            for worker in found { kill(worker, SIGKILL) }
            try agent.wait(for: "the disk worker ended: signal 9", count: round)
        }
        _ = try scenario.plugins[0].waitUntilDone(state: scenario.state)
        #expect(agent.problems.allSatisfy { !$0.contains("the spool cannot be used") }, "\(agent.problems)")
        try outage.heal()
        try outage.waitForArrival(of: count)
        try agent.waitUntilSent(["w1"])
        try agent.stop()
        try expectAllBut(nil, of: count, agent, outage)
    }

    /// Disk workers that are children of a process.
    private static func workers(of parent: pid_t) -> [pid_t] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return entries.compactMap { pid_t($0) }.filter { pid in
            text(of: "/proc/\(pid)/comm") == "elkeid-disk\n"
                && text(of: "/proc/\(pid)/status").contains("\nPPid:\t\(parent)\n")
        }
    }
}
