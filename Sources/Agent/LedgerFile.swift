// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import JSON
import Syscalls

/// The ledger as it outlives the agent, in work_dir: `ledger.json` is written when it ends in order, and
/// `ledger-running.json` from time to time before. An agent that finds only the second knows that for some records nobody
/// can say whether they were delivered.
struct LedgerFile: Equatable {
    static let closed = "ledger.json"
    static let running = "ledger-running.json"

    var ledger: Ledger
    /// When it was written, in seconds since 1970.
    var time: Int64

    var text: [UInt8] {
        let head = ledger.json.dropLast()
        return Array("\(head),\"time\":\(time)}\n".utf8)
    }

    init(ledger: Ledger, time: Int64) {
        self.ledger = ledger
        self.time = time
    }

    /// Nil when there is none, or none that makes sense.
    init?(path: String) {
        guard let bytes = try? FileDescriptor.readFile(path), let json = try? JSONValue(parsing: bytes),
            let time = json["time"]?.integer
        else { return nil }
        var ledger = Ledger()
        // A damaged file must not make sums overflow.
        func count(_ value: JSONValue?) -> UInt64 { value?.integer.map { UInt64(min(max(0, $0), 1 << 56)) } ?? 0 }
        ledger.received = count(json["received"])
        ledger.malformed = count(json["malformed"])
        ledger.queued = count(json["queued"])
        ledger.inFlight = count(json["in_flight"])
        ledger.spooled = count(json["spooled"])
        ledger.confirmed = count(json["confirmed"])
        ledger.resent = count(json["resent"])
        for reason in DropReason.allCases {
            let value = count(json["dropped"]?[reason.rawValue])
            if value > 0 { ledger.dropped[reason] = value }
        }
        guard ledger.isBalanced else { return nil }
        self.init(ledger: ledger, time: time)
    }
}

extension Ledger {
    /// One JSON object.
    var json: String { String(decoding: value.encoded, as: UTF8.self) }

    var value: JSONValue {
        var drops: [String: JSONValue] = [:]
        for (reason, count) in dropped { drops[reason.rawValue] = .count(count) }
        return .object([
            "received": .count(received), "malformed": .count(malformed), "queued": .count(queued),
            "in_flight": .count(inFlight), "spooled": .count(spooled), "confirmed": .count(confirmed),
            "dropped": .object(drops), "resent": .count(resent),
        ])
    }
}
