// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Configuration
import Delivery
import Glibc
import Host
import Plugins
import Reactor
import Transport

extension Agent {
    /// Everything that tells how the agent is doing, a line for each part.
    func stateDump() -> [String] {
        let state = stateReport
        let traffic = transfer.currentTraffic
        let loop = reactor.statistics
        var lines = [
            "state: \(state.state) \(state.detail)",
            "agent: version \(version) id \(identity.id) (\(identity.origin)) pid \(getpid()) "
                + "up \(Int((MonotonicTime.now() - started).seconds)) s rss \(residentKilobytes()) kB",
            "transfer: \(transfer.state); idc \(configuration.agent.idc) region \(configuration.agent.region) netmode "
                + "\(transfer.mode?.rawValue ?? "unknown"); connections \(traffic.connections) messages "
                + "\(traffic.messagesSent) commands \(traffic.commandsReceived) sent \(traffic.bytesSent) B received "
                + "\(traffic.bytesReceived) B",
            "loop: turns \(loop.turns) wakeups \(loop.wakeups) timers \(loop.timersFired) events \(loop.events) stale "
                + "\(loop.staleEvents) longest turn \(loop.longestTurn / 1000) us; sources \(reactor.sourceCount)",
            "memory: slabs \(pool.outstanding) of \(pool.slabSize) B, limit \(pool.limit) B",
            "ledger: \(outbox.ledger.json)",
        ]
        lines.append(
            "spool: \(spool.spooler.bytes) B of \(configuration.spool.disk) B in \(spool.path)"
                + (spool.problem.map { "; \($0)" } ?? "")
        )
        for lane in outbox.lanes { lines.append("lane \(lane.name): \(lane.ledger.json)") }
        for plugin in plugins.plugins {
            lines.append(
                "plugin \(plugin.name): version \(plugin.version) \(plugin.state) pid "
                    + "\(plugin.pid.map { "\($0)" } ?? "-") restarts \(plugin.restarts)"
                    + (plugin.lastProblem.map { "; last problem: \($0)" } ?? "")
            )
        }
        lines += plugins.componentLines
        lines.append("upgrade: \(upgrade.text)" + (upgrade.problem.map { "; \($0)" } ?? ""))
        for (name, problem) in plugins.problems.sorted(by: { $0.key < $1.key }) {
            lines.append("plugin \(name): not running: \(problem)")
        }
        return lines
    }
}
