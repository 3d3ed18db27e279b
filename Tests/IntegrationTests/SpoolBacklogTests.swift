// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Spool
import Testing

/// A large backlog of a plugin that is not there any more: others' fresh records do not wait for it.
extension Integration {
    @Suite struct SpoolBacklog {
        /// Bytes; 1 GiB in the long form.
        private static let size = TestEnvironment.isSoak ? 1 << 30 : 32 << 20
        private static let batchRecords = 500

        @Test func freshRecordsFlow() throws { try Scenario.run(Self.freshRecordsFlow) }

        private static func freshRecordsFlow(_ scenario: Scenario) throws {
            let old = try makeSpool(in: scenario.folder.path + "/work/spool")
            let fresh = try scenario.addWriter("fresh", ["rate": 2000, "seconds": 600])
            // A server that needs some time for the backlog.
            let server = try scenario.startServer(["-slow-bytes-per-second", "\(64 << 20)"])
            let agent = try scenario.startAgent(["spool": ["disk": "4GiB", "replay_rate": "16MiB"]])
            try agent.wait(for: "\(old) records of earlier runs are in the spool")
            let before = agent.peakMemory
            // The fresh lane reaches its tail over and over while the old one is still on its way.
            var looks = 0
            try eventually("the backlog", seconds: 600, state: scenario.state) {
                let stats = try server.stats()
                let isThrough = stats.lanes["old"]?.unique == old
                if !isThrough, let lane = stats.lanes["fresh"], lane.highest > 1000 * (looks + 1) { looks += 1 }
                return isThrough.asAnswer
            }
            #expect(looks > 0, "fresh records came only after the backlog")
            let peak = agent.peakMemory
            try agent.stop(seconds: 60)
            let stats = try server.stats()
            #expect(stats.lanes["old"] == .complete(old))
            #expect(stats.lanes["fresh"] == .complete(fresh.summary?.records ?? -1))
            let ledger = try agent.ledger()
            #expect(ledger.isBalanced && ledger.waiting == 0, "\(ledger)")
            print("backlog: \(size >> 20) MiB, \(old) records; memory \(before >> 10) KiB, then \(peak >> 10) KiB")
        }

        /// Fills a spool as an agent would have left it.
        ///
        /// - Returns: records in it.
        private static func makeSpool(in path: String) throws -> Int {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let store = try SpoolStore(disk: try FileDisk(path: path)) { UInt64(time(nil)) }
            let lane = SpoolLane(name: "old", isUrgent: false)
            var (written, number, sequence) = (0, 0, UInt64(0))
            while written < size {
                var payload: [UInt8] = []
                for _ in 0..<batchRecords {
                    payload += record(number)
                    number += 1
                }
                let position = SpoolPosition(sequence: sequence, record: UInt64(number - batchRecords))
                let batch = SpoolBatch(position: position, records: UInt32(batchRecords), payload: payload)
                _ = try store.append([batch], to: lane, attempt: 0)
                sequence += 1
                written += payload.count
            }
            try store.sync()
            return number
        }

        /// Field 1 of PackagedData: a record of data type 4242 with the fields that the server follows.
        private static func record(_ number: Int) -> [UInt8] {
            func bytes(_ field: UInt8, _ value: [UInt8]) -> [UInt8] { [field << 3 | 2] + varint(value.count) + value }
            func entry(_ name: String, _ value: String) -> [UInt8] {
                bytes(1, bytes(1, Array(name.utf8)) + bytes(2, Array(value.utf8)))
            }
            let filler = String(repeating: "f", count: 400)
            let payload = entry("lane", "old") + entry("seq", "\(number)") + entry("filler", filler)
            return bytes(1, [8] + varint(4242) + [16] + varint(1_700_000_000) + bytes(3, payload))
        }

        private static func varint(_ value: Int) -> [UInt8] {
            var (rest, bytes) = (value, [UInt8]())
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            return bytes + [UInt8(rest)]
        }
    }
}
