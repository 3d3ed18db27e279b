// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

// The books of a running agent, lane by lane.
extension AgentRun {
    /// The agent's own lane.
    static let ownLane = "elkeid-agent"

    /// What it says of its lanes when it is asked by SIGUSR1, by their names. It must have a plugin.
    func ledgers() throws -> [String: Ledger] {
        _ = try askForState()
        return try eventually("the lanes' ledgers", state: self.state) {
            let messages = log.map(\.message)
            guard let start = messages.lastIndex(where: { $0.hasPrefix("state: ") }) else { return nil }
            let dump = messages[start...]
            // Those come after all lanes.
            guard dump.contains(where: { $0.hasPrefix("component ") }) else { return nil }
            var found: [String: Ledger] = [:]
            for line in dump where line.hasPrefix("lane ") {
                guard let brace = line.firstIndex(of: "{") else { continue }
                let name = line[..<brace].dropFirst("lane ".count).dropLast(": ".count)
                found[String(name)] = try JSONDecoder().decode(Ledger.self, from: Data(line[brace...].utf8))
            }
            return found
        }
    }

    /// Waits until nothing of these lanes is queued or on the disk. What is in flight then, an orderly end confirms.
    func waitUntilSent(_ lanes: [String], seconds: Double = 30) throws {
        try eventually("everything to be sent", seconds: seconds, state: self.state) {
            let now = try ledgers()
            let isSent = lanes.allSatisfy { name in now[name].map { $0.queued + $0.spooled == 0 } ?? false }
            // Every question leaves some lines in the log.
            if !isSent { usleep(100_000) }
            return isSent.asAnswer
        }
    }
}
