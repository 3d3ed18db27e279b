// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import Configuration
import Delivery
import ElkeidWire
import Host
import Logging
import Plugins
import Reactor
import Transport

extension Agent: TransferDelegate {
    /// Everything that is not as it should be, now.
    var stateReport: StateReport {
        let problems = plugins.problems.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        let failed = plugins.plugins.compactMap { plugin in
            plugin.isRunning ? nil : plugin.lastProblem.map { "\(plugin.name): \($0)" }
        }
        let own = [transfer.problem, spool.problem, upgrade.problem].compactMap(\.self)
        return StateReport(reasons: own + problems + failed)
    }

    func makeHeartbeat() -> RecordBatch {
        reported = heartbeatSubject
        let state = stateReport
        var report = AgentReport()
        report.idc = configuration.agent.idc
        report.region = configuration.agent.region
        report.networkMode = transfer.mode?.rawValue ?? "unknown"
        report.state = state.state
        report.stateDetail = state.detail
        report.directorySize = sizes.size(of: configuration.agent.workDirectory, excluding: ["plugin"])
        let heartbeat = records.makeHeartbeat(report, traffic: transfer.currentTraffic, ledger: outbox.ledger)
        header = encodeHeader()
        return heartbeat
    }

    func messageHeader() -> [UInt8] { header }

    func stateChanged(_ state: TransferState) {
        log.debug("transfer: \(state)")
        notifier.status("\(state)")
        if case .opening = state { emptyGuard.connected() }
        if case .running = state {
            spool.connected()
            settleLater()
        } else {
            spool.disconnected()
        }
        // The heartbeat that begins a stream is made before it is known whether the stream is refused again.
        renewHeartbeat()
    }

    /// Sends another heartbeat when the last one does not hold any more.
    func renewHeartbeat() {
        guard case .running = transfer.state, let reported, reported != heartbeatSubject else { return }
        outbox.enqueueOwn(makeHeartbeat(), on: ownLane, isCarriedOver: false)
        transfer.flush()
    }

    /// What a server should not have to wait a minute for.
    private var heartbeatSubject: HeartbeatSubject {
        HeartbeatSubject(state: stateReport, idc: configuration.agent.idc, region: configuration.agent.region)
    }

    /// Told from within the connection's reading: the pipes are read in a turn of their own.
    func confirmed() { memoryFreed.schedule() }

    func received(_ command: Command) {
        if let task = command.task { return tasks.perform(task) }
        switch emptyGuard.judge(command) {
        case .control: log.info("control \(command.agentControl) of the server is not known, and ignored")
        case .doubtful where !plugins.isEmpty:
            hasConfiguration = true
            // Right after the start it may not be known yet that there is nothing to lose.
            log.log(
                level: plugins.isKnown ? .warning : .info,
                "the server's first configuration on this connection names no plugin: they run on; send it again to remove them"
            )
        case .doubtful, .apply:
            hasConfiguration = true
            log.info("configuration received", metadata: ["plugins": "\(command.configs.map(\.name))"])
            plugins.apply(command.configs)
        }
    }
}
