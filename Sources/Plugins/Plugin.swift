// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Cgroups
public import Delivery
public import ElkeidWire
import Glibc
public import Logging
public import Reactor
import Syscalls

/// Hears of a plugin's ups and downs.
public protocol PluginOwner: AnyObject {
    func started(_ plugin: Plugin)
    /// It ended or could not be started, without being asked to end; it is started again after a pause.
    func failed(_ plugin: Plugin, _ reason: String)
    /// The program is not the file any more that was checked; it is not started.
    func programChanged(_ plugin: Plugin)
    /// A task that `send` took was written whole, or cannot be any more. Its data are gone.
    func settled(_ task: PluginTask, isWritten: Bool, by plugin: Plugin)
}

/// One plugin: its process, supervised, and its pipes.
public final class Plugin: RecordPipeOwner {
    public let name: String
    public let version: String
    /// Checksum and detail of the configuration it was started from: a change of either means another start.
    public let configuration: PluginConfig
    private var launch: ProcessLaunch
    /// Until it is known whether the child has executed its program.
    private var launching: LaunchWatch?
    private var launchFailure: LaunchError?
    private let reactor: Reactor
    private let children: ChildWatcher
    private let intake: Intake
    private let log: Logger
    private let errorWatch: StandardErrorWatch
    private var watchedErrors: Int32?
    public weak var owner: (any PluginOwner)?
    private var supervision: Supervision
    private var malformedLog: RateLimit
    private var lastMalformed: MalformedRecord?
    public private(set) var pid: Int32?
    private var tasks: TaskPipe?
    private var pipes: [RecordPipe] = []
    /// Of pipes that are closed.
    private var pastTraffic = PluginTraffic()
    private let lane: Lane
    private let urgentLane: Lane?
    private var exit: ExitStatus?
    /// What was started may not be what was checked.
    private var isProgramChanged = false
    /// Its records could not be read any more.
    private var condemnation: String?
    private var onEnded: (() -> Void)?
    /// Why it last ended without being asked to, for the agent's state.
    public private(set) var lastProblem: String?
    /// How and when its process ended last, asked to or not.
    public private(set) var lastEnd: (reason: String, at: MonotonicTime)?
    private lazy var unwatched = reactor.makeDeferred { [unowned self] in self.processEnded(.signalled(SIGKILL)) }
    private lazy var wake = reactor.makeTimer { [unowned self] in
        self.perform(self.supervision.woke(at: MonotonicTime.now()))
    }

    public init(
        configuration: PluginConfig,
        launch: ProcessLaunch,
        policy: Supervision.Policy,
        malformedLogInterval: TimeSpan,
        reactor: Reactor,
        children: ChildWatcher,
        intake: Intake,
        errorWatch: StandardErrorWatch,
        log: Logger
    ) {
        self.configuration = configuration
        self.name = configuration.name
        self.version = configuration.version
        self.launch = launch
        self.reactor = reactor
        self.children = children
        self.intake = intake
        self.errorWatch = errorWatch
        var log = log
        log[metadataKey: "plugin"] = "\(configuration.name)"
        log[metadataKey: "version"] = "\(configuration.version)"
        self.log = log
        supervision = Supervision(policy: policy)
        malformedLog = RateLimit(interval: malformedLogInterval)
        lane = intake.outbox.addLane(name: configuration.name)
        urgentLane =
            launch.offersUrgentPipe
            ? intake.outbox.addLane(name: "\(configuration.name) (urgent)", priority: .urgent) : nil
    }

    public var isRunning: Bool { pid != nil }
    public var restarts: Int { supervision.restarts }
    public var state: Supervision.State { supervision.state }
    /// When it is started again, if it waits for that.
    public var nextStart: MonotonicTime? { state == .waiting && wake.isArmed ? wake.deadline : nil }
    /// What became of its records.
    public var ledger: Ledger { urgentLane.map { lane.ledger + $0.ledger } ?? lane.ledger }

    /// The folder that it works in; absolute.
    public var directory: String { launch.directory }

    /// Its cgroup, where it has one.
    public var group: PluginGroup? { launch.group }

    public var traffic: PluginTraffic {
        var sum = pastTraffic
        for pipe in pipes { sum.recordBytes += pipe.bytesRead }
        sum.records = ledger.received
        sum.tasks += tasks?.sentTasks ?? 0
        sum.taskBytes += tasks?.sentBytes ?? 0
        return sum
    }

    public func start() { perform(supervision.start()) }

    /// Stops it in order; `completion` is called when its process has ended and its pipes are empty.
    public func stop(completion: @escaping () -> Void) {
        onEnded = completion
        perform(supervision.stop(at: MonotonicTime.now()))
    }

    public func send(_ task: PluginTask) throws(TaskPipe.Refusal) {
        guard let tasks else { throw .closed }
        try tasks.send(task)
    }

    private func perform(_ actions: [Supervision.Action]) {
        for action in actions {
            switch action {
            case .launch: launchProcess()
            case .closeTaskPipe: tasks?.close()
            case .signal(let signal): signalGroup(signal)
            case .wake(let time): wake.arm(at: time)
            case .noWake: wake.cancel()
            case .ended: endedByRequest()
            }
        }
    }

    private func launchProcess() {
        do throws(LaunchError) {
            var process = try launch.start()
            pid = process.pid
            exit = nil
            if let descriptor = process.tasks.take() {
                tasks = TaskPipe(descriptor, reactor: reactor) { [unowned self] in
                    self.owner?.settled($0, isWritten: $1, by: self)
                }
            }
            pipes = []
            if let descriptor = process.records.take() {
                pipes.append(RecordPipe(descriptor, intake: intake, lane: lane, owner: self))
            }
            if let descriptor = process.urgentRecords.take(), let urgentLane {
                pipes.append(RecordPipe(descriptor, intake: intake, lane: urgentLane, owner: self))
            }
            watchedErrors = errorWatch.add(launch.standardError, plugin: name)
            watch(process.pid)
            for problem in process.limitProblems { log.warning("a limit is not in effect: \(problem)") }
            perform(supervision.started(at: MonotonicTime.now()))
            guard let outcome = process.outcome.take() else { return executed() }
            launching = LaunchWatch(outcome, launch: launch, reactor: reactor) { [unowned self] failure in
                self.launching = nil
                if let failure { self.launchFailure = failure } else { self.executed() }
            }
        } catch {
            sayLaunchFailed(error)
            perform(supervision.launchFailed(at: MonotonicTime.now()))
            judge(error)
        }
    }

    /// The program runs.
    private func executed() {
        guard !launch.isProgramChanged else {
            log.error("plugin's program was changed while it was started; it is ended, and checked again")
            isProgramChanged = true
            return signalGroup(SIGKILL)
        }
        guard let pid else { return }
        log.info("plugin has been loaded", metadata: ["pid": "\(pid)"])
        owner?.started(self)
    }

    private func sayLaunchFailed(_ error: LaunchError) {
        lastProblem = "cannot be started: \(error)"
        log.error("plugin cannot be started: \(error)")
    }

    /// Is the program to blame?
    private func judge(_ error: LaunchError) {
        if error.isProgramChanged {
            owner?.programChanged(self)
        } else if error.isProgramsFault {
            owner?.failed(self, "\(error)")
        }
    }

    /// The child has ended without having executed its program.
    private func launchEnded(_ error: LaunchError) {
        sayLaunchFailed(error)
        if error.step == LaunchError.enteringGroup {
            log.warning("plugin is started without a cgroup of its own: its limits are not in effect")
            launch.isConfined = false
        }
        perform(supervision.exited(at: MonotonicTime.now()))
        if supervision.isWanted { judge(error) }
    }

    private func watch(_ pid: Int32) {
        do throws(Errno) {
            try children.watch(pid) { [unowned self] status in self.processEnded(status) }
        } catch {
            // Without a way to see its end it could not be supervised.
            log.error("plugin cannot be watched: \(error); it is ended, and started again later")
            signalGroup(SIGKILL)
            var status: CInt = 0
            while unsafe waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            unwatched.schedule()
        }
    }

    private func processEnded(_ status: ExitStatus) {
        launching?.settle()
        exit = status
        pid = nil
        if let watchedErrors { errorWatch.remove(watchedErrors) }
        watchedErrors = nil
        pastTraffic.tasks += tasks?.sentTasks ?? 0
        pastTraffic.taskBytes += tasks?.sentBytes ?? 0
        tasks?.close()
        tasks = nil
        if pipes.isEmpty { return allDrained() }
        // What it started may live on and hold the pipes: they are read until they are empty, not until their end.
        for pipe in pipes { pipe.drain() }
    }

    private func signalGroup(_ signal: Int32) {
        guard let pid else { return }
        // ESRCH: nothing is left of the group, which is what was wanted.
        if kill(-pid, signal) != 0 { _ = kill(pid, signal) }
    }

    private func allDrained() {
        guard let exit else { return }
        reportMalformed(malformedLog.takePending())
        if let failure = launchFailure.take() { return launchEnded(failure) }
        let end = launch.group?.hasRunOutOfMemory == true ? "\(exit): out of memory\(memoryLimit)" : "\(exit)"
        lastEnd = (end, MonotonicTime.now())
        if isProgramChanged {
            isProgramChanged = false
            perform(supervision.exited(at: MonotonicTime.now()))
            return owner?.programChanged(self) ?? ()
        }
        guard case .running = supervision.state else {
            log.info("plugin has ended: \(end)")
            perform(supervision.exited(at: MonotonicTime.now()))
            if let reason = condemnation.take(), supervision.isWanted { owner?.failed(self, reason) }
            return
        }
        let said = launch.standardError.lastLines
        let reason = said.isEmpty ? end : "\(end); the end of its stderr: \(said)"
        lastProblem = "ended unexpectedly: \(reason)"
        log.error(
            "plugin ended unexpectedly: \(reason)",
            metadata: ["restarts": "\(restarts)", "stderr": "\(launch.standardError.path)"]
        )
        perform(supervision.exited(at: MonotonicTime.now()))
        owner?.failed(self, reason)
    }

    /// Whose limit it was.
    private var memoryLimit: String {
        launch.group?.limits.memory.map { " (its memory_max is \($0 >> 20)M)" }
            ?? " (it has no memory_max of its own: the limit is the service's or the host's)"
    }

    private func endedByRequest() {
        launch.group?.remove()
        intake.outbox.retire(lane)
        if let urgentLane { intake.outbox.retire(urgentLane) }
        let completion = onEnded
        onEnded = nil
        completion?()
    }

    // MARK: RecordPipeOwner

    public func leftOut(_ count: UInt64, last reason: MalformedRecord, by pipe: RecordPipe) {
        lastMalformed = reason
        if let total = malformedLog.allow(count, at: MonotonicTime.now()) { reportMalformed(total) }
    }

    private func reportMalformed(_ count: UInt64) {
        guard count > 0, let lastMalformed else { return }
        log.error("plugin \(name) wrote \(count) malformed records, which were dropped; the last had \(lastMalformed)")
    }

    public func streamLost(_ error: StreamLost, by pipe: RecordPipe) {
        lastProblem = "\(error)"
        log.error("plugin \(name) is stopped and started again: \(error)")
        condemnation = "\(error)"
        perform(supervision.condemn(at: MonotonicTime.now()))
    }

    public func drained(_ pipe: RecordPipe) {
        pastTraffic.recordBytes += pipe.bytesRead
        pipes.removeAll { $0 === pipe }
        if pipes.isEmpty && pid == nil { allDrained() }
    }
}

/// Lets something be said once in an interval, and counts what was not said.
public struct RateLimit: Sendable {
    private let interval: TimeSpan
    private var last: MonotonicTime?
    private var pending: UInt64 = 0

    public init(interval: TimeSpan) { self.interval = interval }

    /// What was counted and not said yet; nobody will count any more.
    public mutating func takePending() -> UInt64 {
        defer { pending = 0 }
        return pending
    }

    /// The total since it was last said, or nil when it is not time to say it again.
    public mutating func allow(_ count: UInt64, at now: MonotonicTime) -> UInt64? {
        pending += count
        if let last, now - last < interval { return nil }
        last = now
        let total = pending
        pending = 0
        return total
    }
}
