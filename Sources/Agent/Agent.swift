// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Cgroups
import Components
import Configuration
import Control
import Delivery
import DiskWorker
import ElkeidWire
import Glibc
import Host
import Logging
import Net
import Plugins
import Reactor
import Syscalls
import TLS
import Transport

/// The whole agent: everything wired to one reactor.
///
/// `Agent+Transfer.swift` is what it does for the stream to the server, `Agent+Signals.swift` what its guardian asks of
/// it, `Agent+Settings.swift` what its parts are told of the configuration.
final class Agent {
    /// The name under which the server addresses the agent itself.
    static let product = "elkeid-agent"

    var source: ConfigurationSource
    var configuration: AgentConfiguration
    let version: String
    let log: Logger
    let sink: LogSink
    let reactor: Reactor
    let outbox: Outbox
    let ownLane: Lane
    let pool: SlabPool
    let identity: AgentIdentity
    let notifier: ServiceNotifier
    let disk: DiskWorker
    let children: ChildWatcher
    let resolver: Resolver
    let sizes: DirectorySizes
    let started = MonotonicTime.now()
    var records: OwnRecords
    var header: [UInt8] = []
    /// What the last heartbeat said.
    var reported: HeartbeatSubject?
    /// Of the files that the last TLS context may have been made from.
    var certificateStamp: [FileIdentity?] = []
    var stopRequested = false
    /// As children get them.
    var originalLimits: ChildDefaults?
    var errors: ErrorReports?
    private var rotation: LogRotation?
    private var signals: SignalSource?
    lazy var settling = reactor.makeTimer { [unowned self] in self.settle() }
    lazy var heartbeat = reactor.makeTimer { [unowned self] in self.heartbeatDue() }
    lazy var spoolNoticed = reactor.makeDeferred { [unowned self] in self.spool.noticed() }
    lazy var memoryFreed = reactor.makeDeferred { [unowned self] in
        self.intake.memoryReleased()
        self.spool.noticed()
    }
    lazy var stopLimit = reactor.makeTimer { [unowned self] in self.stopTakesTooLong() }
    lazy var transfer = makeTransfer()
    lazy var spool = makeSpool()
    /// Of the agent before this one, until they are continued.
    var earlierBooks: LedgerFile?
    var endedInOrder = false
    /// When the ledger was last noted, and how many records others than the agent had brought.
    var noted: (time: MonotonicTime, others: UInt64)?
    /// What was given up, as far as that was said.
    var saidDrops: [DropReason: UInt64] = [:]
    lazy var intake = makeIntake()
    lazy var plugins = makePlugins()
    lazy var upgrade = makeUpgrade()
    lazy var tasks = AgentTasks(agent: self, path: "\(configuration.agent.workDirectory)/tasks.json")
    var emptyGuard = EmptyConfigurationGuard()
    /// A server has said which plugins it wants, if only that it wants none.
    var hasConfiguration = false
    var groups: PluginGroups?
    /// What plugins are limited by, for who asks.
    var limitsDescription = ""
    var control: ControlServer?
    /// Who looks on as records pass.
    var tails: [RecordTail] = []
    var recentProblems = RecentProblems()

    init(
        configuration: AgentConfiguration,
        source: ConfigurationSource,
        version: String,
        log: Logger,
        sink: LogSink
    ) throws(Errno) {
        self.configuration = configuration
        self.source = source
        self.version = version
        self.log = log
        self.sink = sink
        // SIGPIPE would end the agent when a plugin closes its pipe; the write says EPIPE instead.
        signal(SIGPIPE, SIG_IGN)
        reactor = try Reactor()
        children = try ChildWatcher(reactor: reactor)
        notifier = ServiceNotifier(environment: source.environment, reactor: reactor, log: log)
        disk = DiskWorker(reactor: reactor, children: children, log: log)
        resolver = Resolver(reactor: reactor)
        sizes = DirectorySizes(disk: disk, interval: TimeSpan(configuration.timeouts.directorySize), log: log)
        let idFile = "\(configuration.agent.workDirectory)/machine-id"
        // The original agent keeps it beside its configuration.
        let earlier = "\(source.folder)/machine-id"
        identity = AgentIdentity.determine(configured: configuration.agent.id, keptFiles: [idFile, earlier])
        outbox = Outbox(quantum: configuration.transfer.messageSize)
        ownLane = outbox.addLane(name: Agent.product, priority: .urgent)
        pool = SlabPool(limit: configuration.spool.memory)
        records = OwnRecords(facts: HostFacts.current(), libraries: Self.libraries)
        header = encodeHeader()
        do throws(Errno) {
            try identity.keep(in: idFile)
        } catch {
            log.error("the agent's id cannot be kept: \(error)", metadata: ["file": "\(idFile)"])
        }
    }

    func encodeHeader() -> [UInt8] {
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
        signals = try SignalSource([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2], reactor: reactor) { [unowned self] in
            self.received(signal: $0)
        }
        let errors = ErrorReports(
            outbox: outbox,
            lane: ownLane,
            reactor: reactor,
            makeBatch: { [unowned self] in self.records.batch($0) },
            onQueued: { [unowned self] in self.queued() }
        )
        self.errors = errors
        sink.onProblem = { [unowned self, unowned errors] event, metadata in
            errors.logged(event, metadata)
            self.recentProblems.add(
                level: event.level.rawValue,
                message: "\(event.message)",
                plugin: metadata["plugin"].map { "\($0)" },
                at: Int64(time(nil))
            )
        }
        let rotation = LogRotation(sink: sink, disk: disk, policy: rotationPolicy(), log: log)
        self.rotation = rotation
        sink.onGrown = { [unowned rotation] in rotation.grown() }
        transfer.delegate = self
        log.info(
            "agent \(version) runs",
            metadata: [
                "id": "\(identity.id)", "pid": "\(getpid())", "work_dir": "\(configuration.agent.workDirectory)",
            ]
        )
        takeGroups()
        _ = sizes.size(of: configuration.agent.workDirectory, excluding: ["plugin"])
        rotation.start()
        openControl()
        startSpool { [unowned self] in self.begin() }
        try reactor.run()
    }

    /// The spool is known: records have their places behind what is in it.
    private func begin() {
        guard !stopRequested else { return }
        heartbeat.arm(after: TimeSpan(configuration.timeouts.heartbeat))
        prepareToSettle()
        plugins.start()
        upgrade.start()
        tasks.start()
        transfer.start()
        notifier.ready()
    }

    /// What changed since the last look.
    func rotationPolicyChanged() { rotation?.policy = rotationPolicy() }

    private func heartbeatDue() {
        heartbeat.arm(after: TimeSpan(configuration.timeouts.heartbeat))
        pool.trim(keeping: 1)
        noteLedger()
        guard case .running = transfer.state else { return }
        outbox.enqueueOwn(makeHeartbeat(), on: ownLane, isCarriedOver: false)
        let live = plugins.plugins.filter(\.isRunning)
        for batch in records.makePluginHeartbeats(live, directorySize: { sizes.size(of: $0.directory) }) {
            outbox.enqueueOwn(batch, on: ownLane, isCarriedOver: false)
        }
        log.info("agent heartbeat completed")
        transfer.flush()
    }
}
