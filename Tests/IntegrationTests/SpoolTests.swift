// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

// What waits on the disk outlives the agent; `elkeid-agent spool` shows it, and mends what is damaged.
extension Integration.Delivery {
    /// An agent that never reaches its server is stopped, and another one delivers what both have received.
    @Test func outageAndRestart() throws { try Scenario.run { try Self.liveThroughAnOutage($0) } }

    private static func liveThroughAnOutage(_ scenario: Scenario) throws {
        let (early, late) = (5000, 1000)
        let outage = try Outage(scenario, writers: 2)
        try outage.prepare(["rate": 2500, "count": early, "record_size": 200])
        let first = try outage.startAgent()
        for plugin in scenario.plugins { _ = try plugin.waitUntilDone(state: scenario.state) }
        // Looking is possible at any time, changing is not.
        let stat = try SpoolTool.run("stat", outage.work)
        #expect(stat.exit == .code(0), "\(stat)")
        let repair = try SpoolTool.run("repair", outage.work)
        #expect(repair.exit == .code(3) && repair.errors.contains("an agent uses"), "\(repair)")
        try first.stop()

        let left = try first.ledger()
        #expect(left.isBalanced && left.queued == 0 && left.inFlight == 0, "\(left)")
        #expect(left.spooled >= 2 * early && left.dropped.keys.allSatisfy { $0 == "superseded" }, "\(left)")
        let copy = scenario.folder.path + "/copy"
        try FileManager.default.copyItem(atPath: outage.spool, toPath: copy)
        for path in [outage.work, copy] { try expectSpooled(["w1": early, "w2": early], left.spooled, in: path) }
        let untouched = try SpoolTool.run("repair", copy)
        #expect(untouched.exit == .code(0) && untouched.output.contains("nothing to repair"), "\(untouched)")
        try expectSpooled(["w1": early, "w2": early], left.spooled, in: copy)

        try outage.prepare(["count": late], lane: "-late")
        try outage.heal()
        let second = try outage.startAgent()
        for name in ["w1", "w2"] {
            try outage.waitForArrival(of: early, lane: name)
            try outage.waitForArrival(of: late, lane: "\(name)-late")
        }
        try second.waitUntilSent(["w1", "w2"])
        try second.stop()
        let stats = try outage.server.stats()
        for name in ["w1", "w2"] {
            #expect(stats.lanes[name] == .complete(early), "\(name)")
            #expect(stats.lanes["\(name)-late"] == .complete(late), "\(name)-late")
        }
        #expect(stats.lanes.count == 4, "\(stats.lanes.keys)")
        let ledger = try second.ledger()
        let own = stats.heartbeats + stats.pluginHeartbeats + stats.errorReports
        // The books of all agents so far: nothing is counted twice, nothing was forgotten.
        #expect(ledger.isBalanced && ledger.waiting == 0 && ledger.malformed == 0, "\(ledger)")
        #expect(ledger.confirmed == 2 * (early + late) + own, "\(own) own records, \(ledger)")
        #expect(ledger.dropped.keys.allSatisfy { $0 == "superseded" }, "\(ledger)")
        #expect(ledger.received >= left.received + 2 * late, "\(left), then \(ledger)")
        #expect(outage.segments == [])
    }

    /// The commands find all that waits, each lane complete and in order.
    private static func expectSpooled(_ lanes: [String: Int], _ records: Int, in path: String) throws {
        let stat = try SpoolTool.run("stat", path)
        #expect(stat.exit == .code(0) && stat.records == records, "\(records) records wait; \(stat)")
        let verify = try SpoolTool.run("verify", path)
        #expect(verify.exit == .code(0) && verify.output == "all \(records) records can be read\n", "\(verify)")
        let dump = try SpoolTool.run("dump", path)
        let lines = dump.lines
        #expect(dump.exit == .code(0) && lines.count == records, "\(lines.count) of \(records): \(dump)")
        var found: [String: Int] = [:]
        for line in lines {
            guard let record = JSON(line: line), record["data_type"].int != nil else {
                throw Failure("not a record: \(String(decoding: line, as: UTF8.self))")
            }
            // The agent's own have none.
            guard let lane = record["fields"]["lane"].string else { continue }
            let next = found[lane, default: 0]
            guard record["fields"]["seq"].string == "\(next)", record["lane"].string == lane else {
                throw Failure("record \(next) of \(lane) is missing: \(String(decoding: line, as: UTF8.self))")
            }
            found[lane] = next + 1
        }
        #expect(found == lanes)
    }

    // MARK: Damage

    /// A byte in the midst of a lane's file: its batch is lost, told beforehand and counted, and the rest arrives.
    @Test(arguments: [false, true])
    func damagedSpool(isRepaired: Bool) throws {
        try Scenario.run { try Self.damageSpool($0, isRepaired: isRepaired) }
    }

    private static func damageSpool(_ scenario: Scenario, isRepaired: Bool) throws {
        let count = 8000
        let outage = try Outage(scenario, writers: 2)
        try outage.prepare(["rate": 4000, "count": count])
        let first = try outage.startAgent()
        for plugin in scenario.plugins { _ = try plugin.waitUntilDone(state: scenario.state) }
        try first.stop()
        let left = try first.ledger()

        let segment = try #require(outage.segments.first { $0.contains("/w1-") }, "\(outage.segments)")
        try flipAByte(of: segment)
        let verify = try SpoolTool.run("verify", outage.work)
        #expect(verify.exit == .code(1), "\(verify)")
        let lost = try #require(verify.records, "\(verify)")
        #expect(lost > 0 && lost < count && verify.output.contains("of lane \"w1\""), "\(verify)")
        let place = isRepaired ? outage.work : scenario.folder.path + "/copy"
        if !isRepaired { try FileManager.default.copyItem(atPath: outage.spool, toPath: place) }
        try expectRepair(place, losing: lost, of: left.spooled)
        #expect(outage.asides.isEmpty != isRepaired, "\(outage.asides)")

        // These have nothing to say.
        try outage.prepare([:])
        try outage.heal()
        let second = try outage.startAgent()
        try outage.waitForArrival(of: count, lane: "w1")
        try outage.waitForArrival(of: count, lane: "w2")
        try second.waitUntilSent(["w1", "w2"])
        try second.stop()
        let stats = try outage.server.stats()
        #expect(
            stats.lanes["w1"]
                == ServerStats.Lane(
                    count: count - lost,
                    unique: count - lost,
                    missing: lost,
                    duplicates: 0,
                    reordered: 0,
                    invalid: 0,
                    highest: count - 1
                )
        )
        #expect(stats.lanes["w2"] == .complete(count))
        let ledger = try second.ledger()
        // After a repair the agent only finds that there is less than its books say.
        let reason = isRepaired ? "uncertain" : "damaged"
        #expect(ledger.isBalanced && ledger.waiting == 0, "\(ledger)")
        #expect(ledger.dropped.filter { $0.key != "superseded" } == [reason: lost], "\(verify), \(ledger)")
        let warning = isRepaired ? "\(lost) records that were in the spool are not there any more" : "\(lost) damaged"
        #expect(second.problems.contains { $0.contains(warning) }, "\(second.problems)")
        #expect(outage.segments == [])
    }

    private static func flipAByte(of path: String) throws {
        let file = URL(filePath: path)
        var bytes = try Data(contentsOf: file)
        bytes[bytes.count / 2] ^= 0x10
        try bytes.write(to: file)
    }

    /// Afterwards nothing is wrong with what is left.
    private static func expectRepair(_ path: String, losing lost: Int, of records: Int) throws {
        let repair = try SpoolTool.run("repair", path)
        #expect(repair.exit == .code(0) && repair.output.contains("repaired"), "\(repair)")
        let verify = try SpoolTool.run("verify", path)
        #expect(verify.exit == .code(0), "\(verify)")
        let stat = try SpoolTool.run("stat", path)
        #expect(stat.exit == .code(0) && stat.records == records - lost, "\(lost) of \(records) are lost; \(stat)")
    }
}
