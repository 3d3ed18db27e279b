// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Configuration
import Delivery
import ElkeidWire
import Glibc
import Host
import Logging
import Plugins
import Reactor
import Syscalls
import TLS
import Transport

/// The whole agent: everything wired to one reactor.
final class Agent {
    /// The name under which the server addresses the agent itself.
    static let product = "elkeid-agent"
    /// Task type: the agent shall stop, and its guardian start it again.
    static let shutdownTask: Int32 = 1060

    let configuration: AgentConfiguration
    let version: String
    let log: Logger
    let reactor: Reactor
    let outbox: Outbox
    let ownLane: Lane
    let pool: SlabPool
    private let identity: AgentIdentity
    private var records: OwnRecords
    private var header: [UInt8] = []
    private var transfer: TransferClient?
    private var intake: Intake?
    private var plugins: DesiredPlugins?
    private var signals: SignalSource?
    private var children: ChildWatcher?
    private var stopRequested = false
    private lazy var heartbeat = reactor.makeTimer { [unowned self] in self.heartbeatDue() }

    init(configuration: AgentConfiguration, version: String, log: Logger) throws(Errno) {
        self.configuration = configuration
        self.version = version
        self.log = log
        reactor = try Reactor()
        let idFile = "\(configuration.agent.workDirectory)/machine-id"
        identity = AgentIdentity.determine(configured: configuration.agent.id, keptFiles: [idFile])
        outbox = Outbox(quantum: configuration.transfer.messageSize)
        ownLane = outbox.addLane(name: Agent.product, priority: .urgent)
        pool = SlabPool(limit: configuration.spool.memory)
        records = OwnRecords(
            facts: HostFacts.current(),
            idc: configuration.agent.idc,
            region: configuration.agent.region
        )
        header = encodeHeader()
        do throws(Errno) {
            try identity.keep(in: idFile)
        } catch {
            log.error("the agent's id cannot be kept: \(error)", metadata: ["file": "\(idFile)"])
        }
    }

    private func encodeHeader() -> [UInt8] {
        let network = records.network
        var fields = PackagedDataHeader()
        fields.agentID = identity.id
        fields.intranetIPv4 = network.intranetIPv4
        fields.extranetIPv4 = network.extranetIPv4
        fields.intranetIPv6 = network.intranetIPv6
        fields.extranetIPv6 = network.extranetIPv6
        fields.hostname = network.hostname
        fields.version = version
        fields.product = Agent.product
        return fields.encoded()
    }

    /// Runs until a signal or the server stops it.
    func run() throws(Errno) {
        // SIGPIPE would end the agent when a plugin closes its pipe; the write says EPIPE instead.
        signal(SIGPIPE, SIG_IGN)
        signals = try SignalSource([SIGTERM, SIGINT], reactor: reactor) { [unowned self] in self.received(signal: $0) }
        let children = try ChildWatcher(reactor: reactor)
        self.children = children
        let transfer = TransferClient(
            settings: transferSettings(),
            outbox: outbox,
            ownLane: ownLane,
            reactor: reactor,
            log: log
        ) { [configuration] () throws(TLSError) in
            let tls = configuration.tls
            return try TLSContext(
                role: .client,
                files: .init(authority: tls.ca, certificate: tls.certificate, privateKey: tls.privateKey)
            )
        }
        transfer.delegate = self
        self.transfer = transfer
        let intake = Intake(
            pool: pool,
            outbox: outbox,
            reactor: reactor,
            linger: TimeSpan(configuration.transfer.linger),
            messageSize: configuration.transfer.messageSize
        ) { [unowned transfer] in transfer.flush() }
        self.intake = intake
        plugins = DesiredPlugins(environment: pluginEnvironment(intake, children), log: log)
        log.info(
            "agent \(version) runs",
            metadata: [
                "id": "\(identity.id)", "pid": "\(getpid())", "work_dir": "\(configuration.agent.workDirectory)",
            ]
        )
        heartbeat.arm(after: TimeSpan(configuration.timeouts.heartbeat))
        transfer.start()
        try reactor.run()
    }

    private func transferSettings() -> TransferSettings {
        let agent = configuration.agent
        let endpoints = configuration.regions[agent.region]?.privateEndpoints ?? []
        var settings = TransferSettings(
            endpoints: endpoints.map { .init(host: $0.host, port: $0.port) },
            serverName: configuration.tls.serverName,
            coding: coding(configuration.transfer.compression),
            connectLimit: TimeSpan(configuration.timeouts.connect),
            handshakeLimit: TimeSpan(configuration.timeouts.tlsHandshake),
            acceptLimit: TimeSpan(configuration.timeouts.callAccept),
            closeLimit: TimeSpan(configuration.timeouts.flush),
            reconnectMinimum: TimeSpan(configuration.timeouts.reconnectMin),
            reconnectMaximum: TimeSpan(configuration.timeouts.reconnectMax)
        )
        settings.idc = agent.idc
        settings.region = agent.region
        return settings
    }

    private func pluginEnvironment(_ intake: Intake, _ children: ChildWatcher) -> DesiredPlugins.Environment {
        var policy = Supervision.Policy()
        policy.drain = TimeSpan(configuration.timeouts.pluginDrain)
        policy.term = TimeSpan(configuration.timeouts.pluginTerm)
        policy.restartMinimum = TimeSpan(configuration.timeouts.pluginRestartMin)
        policy.restartMaximum = TimeSpan(configuration.timeouts.pluginRestartMax)
        return DesiredPlugins.Environment(
            reactor: reactor,
            children: children,
            intake: intake,
            defaults: ChildDefaults(environment: processEnvironment()),
            policy: policy,
            malformedLogInterval: TimeSpan(configuration.timeouts.malformedLog),
            directory: configuration.pluginDirectory,
            offersUrgentPipe: configuration.plugins.highPriorityPipe
        )
    }

    private func heartbeatDue() {
        heartbeat.arm(after: TimeSpan(configuration.timeouts.heartbeat))
        pool.trim(keeping: 1)
        guard case .running = transfer?.state else { return }
        outbox.enqueueOwn(makeHeartbeat(), on: ownLane, isCarriedOver: false)
        log.info("agent heartbeat completed")
        transfer?.flush()
    }

    // MARK: Ending

    private func received(signal: Int32) {
        if stopRequested {
            log.warning("second request to stop: the plugins are killed")
            plugins?.killAll()
            return finish()
        }
        stop("signal \(signal)")
    }

    /// Plugins first, so that their last records are read; then the queue; then the stream.
    func stop(_ reason: String) {
        guard !stopRequested else { return }
        stopRequested = true
        log.info("the agent stops: \(reason)")
        heartbeat.cancel()
        plugins?.stopAll { [unowned self] in
            self.transfer?.stop(within: TimeSpan(self.configuration.timeouts.flush)) { [unowned self] in self.finish() }
        }
    }

    private func finish() {
        outbox.dropAll(.stopped)
        let ledger = outbox.ledger
        log.info("the agent has stopped", metadata: ["ledger": "\(ledger.json)"])
        do throws(Errno) {
            let file = try FileDescriptor.open("\(configuration.agent.workDirectory)/ledger.json", .truncate)
            unsafe try file.writeAll(Array((ledger.json + "\n").utf8).span.bytes)
            try file.close()
        } catch {
            log.error("the ledger cannot be written: \(error)")
        }
        reactor.stop()
    }
}

extension Agent: TransferDelegate {
    func makeHeartbeat() -> RecordBatch {
        let problems = plugins?.problems.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" } ?? []
        let failed = plugins?.plugins.compactMap { plugin in
            plugin.isRunning ? nil : plugin.lastProblem.map { "\(plugin.name): \($0)" }
        }
        let heartbeat = records.makeHeartbeat(problems: problems + (failed ?? []))
        header = encodeHeader()
        return heartbeat
    }

    func messageHeader() -> [UInt8] { header }

    func stateChanged(_ state: TransferState) { log.debug("transfer: \(state)") }

    func confirmed() { intake?.memoryReleased() }

    func received(_ command: Command) {
        if let task = command.task { return perform(task) }
        log.info("configuration received", metadata: ["plugins": "\(command.configs.map(\.name))"])
        plugins?.apply(command.configs)
    }

    private func perform(_ task: PluginTask) {
        if task.objectName == Agent.product {
            guard task.dataType == Agent.shutdownTask else {
                return log.warning("agent task \(task.dataType) is not known", metadata: ["token": "\(task.token)"])
            }
            return stop("task \(Agent.shutdownTask) of the server")
        }
        guard let plugin = plugins?.plugin(task.objectName) else {
            return log.error("task \(task.dataType) for \(task.objectName): there is no such plugin")
        }
        do throws(TaskPipe.Refusal) {
            try plugin.send(task)
        } catch {
            log.error("task \(task.dataType) for \(task.objectName) is not delivered: \(error)")
        }
    }
}
