// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Delivery
import ElkeidWire
import Host
import Logging
import Plugins
import Transport

extension Agent: TransferDelegate {
    /// Task type: the agent shall stop, and its guardian start it again.
    private static let shutdownTask: Int32 = 1060

    /// Everything that is not as it should be, now.
    var stateReport: StateReport {
        let problems = plugins.problems.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        let failed = plugins.plugins.compactMap { plugin in
            plugin.isRunning ? nil : plugin.lastProblem.map { "\(plugin.name): \($0)" }
        }
        return StateReport(reasons: (transfer.problem.map { [$0] } ?? []) + problems + failed)
    }

    func makeHeartbeat() -> RecordBatch {
        let state = stateReport
        reportedState = state
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
        // The heartbeat that begins a stream is made before it is known whether the stream is refused again.
        if case .running = state, let reportedState, reportedState != stateReport {
            outbox.enqueueOwn(makeHeartbeat(), on: ownLane, isCarriedOver: false)
        }
    }

    func confirmed() { intake.memoryReleased() }

    func received(_ command: Command) {
        if let task = command.task { return perform(task) }
        log.info("configuration received", metadata: ["plugins": "\(command.configs.map(\.name))"])
        plugins.apply(command.configs)
    }

    private func perform(_ task: PluginTask) {
        if task.objectName == Agent.product {
            guard task.dataType == Self.shutdownTask else {
                return log.warning("agent task \(task.dataType) is not known", metadata: ["token": "\(task.token)"])
            }
            return stop("task \(Self.shutdownTask) of the server")
        }
        guard let plugin = plugins.plugin(task.objectName) else {
            return log.error("task \(task.dataType) for \(task.objectName): there is no such plugin")
        }
        do throws(TaskPipe.Refusal) {
            try plugin.send(task)
        } catch {
            log.error("task \(task.dataType) for \(task.objectName) is not delivered: \(error)")
        }
    }
}
