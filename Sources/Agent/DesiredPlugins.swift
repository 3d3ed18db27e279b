// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Components
import DiskWorker
import ElkeidWire
import Glibc
import Logging
import Plugins
import Reactor
import Syscalls

/// Makes the plugins that run those that the server's configuration names: carries out what each `Component` decides.
///
/// `DesiredPlugins+Actions.swift` has the carrying out, `DesiredPlugins+Start.swift` what an earlier agent left.
final class DesiredPlugins {
    struct Environment {
        let reactor: Reactor
        let children: ChildWatcher
        let disk: DiskWorker
        let intake: Intake
        let defaults: ChildDefaults
        let policy: Supervision.Policy
        let componentPolicy: Component.Policy
        let install: InstallJob.Settings
        let malformedLogInterval: TimeSpan
        let term: TimeSpan
        /// Holds a folder for each plugin; absolute.
        let directory: String
        let offersUrgentPipe: Bool
        /// Where the state is kept.
        let stateFile: String
        /// The cgroup of a plugin, where there are such.
        let group: (String) -> PluginGroup?
        let limits: (String) -> CgroupLimits
    }

    /// Installations at once: enough that a slow server does not hold up a fast one, few enough not to be noticed.
    static let installLimit = 4

    var environment: Environment
    let log: Logger
    /// For the components' files alone, so that nothing else waits behind a large one.
    let worker: DiskWorker
    let store: StoreService
    let errorWatch: StandardErrorWatch
    var components: [String: Component] = [:]
    var running: [String: Plugin] = [:]
    var verified: [String: VerifiedProgram] = [:]
    var timers: [String: Timer] = [:]
    /// The complete list last received, or kept from the agent before.
    var desired: [PluginConfig] = []
    /// Versions that are not tried again, of components that are not looked after yet.
    var keptBad: [String: [BadVersion]] = [:]
    /// What the disk has, once it is known.
    var found: [String: FoundComponent]?
    /// What runs of an earlier agent, by process group. A plugin of the same name waits for its end.
    var orphans: [Int32: OrphanEnding] = [:]
    /// The state file was damaged.
    var isStateLost = false
    /// The list is a server's, not only the kept one.
    private(set) var hasServerSpoken = false

    // Installations.
    var installs: [String: InstallProcess] = [:]
    /// Processes that are being ended: nothing of the same name is begun before they have.
    var ending: Set<String> = []
    var installQueue: [PluginConfig] = []
    /// What waits for the end of such a process.
    var afterEnding: [String: Component.Action] = [:]

    // Actions in order, also when carrying one out leads to others.
    var actions: [(name: String, action: Component.Action)] = []
    var isPerforming = false

    var isStopping = false
    private var onAllStopped: (() -> Void)?
    /// Why something that should run does not, that is nobody's component.
    private var refusals: [String: String] = [:]
    /// The state file is being written, and must be written again.
    private var isWriting = false
    private var mustWrite = false
    /// What a server's list says of the agent itself.
    var onAgentEntry: (PluginConfig?) -> Void = { _ in }
    /// A task that was given to a plugin was written whole; or was not, for this reason.
    var onSettled: (PluginTask, String?) -> Void = { _, _ in }
    lazy var installLater = environment.reactor.makeDeferred { [unowned self] in self.beginNextInstall() }
    lazy var sweepLater = environment.reactor.makeDeferred { [unowned self] in self.sweep() }
    lazy var retryPersist = environment.reactor.makeTimer { [unowned self] in self.persist() }
    lazy var retryStart = environment.reactor.makeTimer { [unowned self] in self.recover() }

    init(environment: Environment, log: Logger) {
        self.environment = environment
        self.log = log
        worker = DiskWorker(reactor: environment.reactor, children: environment.children, log: log)
        store = StoreService(worker: worker, root: environment.directory)
        let disk = environment.disk
        errorWatch = StandardErrorWatch(reactor: environment.reactor, log: log) { path, keep, completion in
            disk.cut(path, keep: keep) { result in
                if case .failure(let error) = result { completion("\(error)") } else { completion(nil) }
            }
        }
    }

    /// For plugins started from now on; limits also for those that run.
    func update(_ environment: Environment) {
        self.environment = environment
        for plugin in plugins {
            for problem in plugin.group?.change(environment.limits(plugin.name)) ?? [] {
                log.warning("a limit is not in effect: \(problem)", metadata: ["plugin": "\(plugin.name)"])
            }
        }
    }

    var plugins: [Plugin] { running.values.sorted { $0.name < $1.name } }

    func plugin(_ name: String) -> Plugin? { running[name] }

    /// Has it been looked at what is on the disk?
    var isKnown: Bool { found != nil || !desired.isEmpty }

    /// Neither runs nor wants anything, and nothing is on the disk.
    var isEmpty: Bool { components.isEmpty && running.isEmpty && desired.isEmpty && found?.isEmpty == true }

    /// Why a plugin that should run does not, by name.
    var problems: [String: String] {
        var result = refusals
        for (name, component) in components {
            if let problem = component.problem { result[name] = problem }
        }
        return result
    }

    /// A line for each component: which version is in place, which is wanted, and what is under way.
    var componentLines: [String] {
        components.sorted { $0.key < $1.key }.map { name, component in
            var line = "component \(name): version \(component.installedVersion ?? "none")"
            if let wanted = component.wanted, wanted.version != component.installedVersion {
                line += ", wanted \(wanted.version)"
            }
            if component.isOnProbation { line += ", on probation" }
            if let install = installs[name] { line += ", installing: \(install.progress)" }
            if installQueue.contains(where: { $0.name == name }) { line += ", waits to be installed" }
            for bad in component.bad { line += "; bad: \(bad.identity)" }
            return line
        }
    }

    // MARK: What is wanted

    /// Takes the server's list as the complete desired state.
    func apply(_ configs: [PluginConfig]) {
        guard !isStopping else { return }
        refusals = [:]
        var list: [PluginConfig] = []
        var ownEntry: PluginConfig?
        for config in configs {
            if config.name == Agent.product {
                ownEntry = config
            } else if !PluginConfig.isName(config.name) {
                refuse(config, "its name is not made of letters, digits, - and _")
            } else {
                if list.contains(where: { $0.name == config.name }) {
                    log.warning("the configuration names plugin \(config.name) twice; the last entry counts")
                    list.removeAll { $0.name == config.name }
                }
                list.append(config)
            }
        }
        desired = list
        hasServerSpoken = true
        onAgentEntry(ownEntry)
        persist()
        realise(removingOthers: true)
    }

    private func refuse(_ config: PluginConfig, _ reason: String) {
        let name = config.name.isEmpty ? "(no name)" : String(config.name.prefix(80))
        refusals[name] = reason
        log.error("plugin is refused: \(reason)", metadata: ["plugin": "\(name)", "version": "\(config.version)"])
    }

    /// Tells every component what is wanted of it.
    ///
    /// - Parameter removingOthers: whether what is on the disk and in no list is removed. Not before a server has said so.
    func realise(removingOthers: Bool) {
        guard let found, !isStopping else { return }
        let now = MonotonicTime.now()
        var names = Set(components.keys)
        names.formUnion(desired.map(\.name))
        if removingOthers { names.formUnion(found.keys) }
        names.subtract(orphans.values.map(\.name))
        for name in names.sorted() {
            let wanted = desired.first { $0.name == name }
            step(name) { $0.want(wanted, at: now) }
        }
    }

    /// Lets a component decide, and does what it says.
    func step(_ name: String, _ decide: (inout Component) -> [Component.Action]) {
        var component =
            components[name]
            ?? Component(
                name: name,
                policy: environment.componentPolicy,
                found: found?.removeValue(forKey: name),
                bad: keptBad.removeValue(forKey: name) ?? []
            )
        let decided = decide(&component)
        components[name] = component.isGone ? nil : component
        if component.isGone { timers.removeValue(forKey: name)?.cancel() }
        perform(decided, for: name)
    }

    // MARK: The state file

    var state: ComponentState {
        var bad = keptBad
        for (name, component) in components { bad[name] = component.bad }
        return ComponentState(desired: desired, bad: bad)
    }

    /// Writes the state in a moment; before anything that the store is asked for later.
    func persist() {
        guard !isWriting else {
            mustWrite = true
            return
        }
        isWriting = true
        worker.writeFile(environment.stateFile, state.encoded, mode: 0o600) { [unowned self] result in
            self.isWriting = false
            if case .failure(let error) = result {
                self.log.error("the components' state cannot be kept: \(error); tried again in a minute")
                self.retryPersist.arm(after: .seconds(60))
            }
            guard self.mustWrite else { return }
            self.mustWrite = false
            self.persist()
        }
    }

    // MARK: The end

    /// Stops all, side by side; `completion` is called when the last has ended and its records are read.
    func stopAll(completion: @escaping () -> Void) {
        isStopping = true
        onAllStopped = completion
        retryStart.cancel()
        retryPersist.cancel()
        for timer in timers.values { timer.cancel() }
        for orphan in orphans.values { orphan.cancel() }
        installQueue = []
        for process in installs.values { process.cancel {} }
        if running.isEmpty { return allStopped() }
        for plugin in plugins { stop(plugin) }
    }

    func stop(_ plugin: Plugin) {
        plugin.stop { [unowned self] in
            self.running[plugin.name] = nil
            guard !self.isStopping else {
                if self.running.isEmpty { self.allStopped() }
                return
            }
            self.step(plugin.name) { $0.processStopped(at: MonotonicTime.now()) }
        }
    }

    private func allStopped() {
        let completion = onAllStopped
        onAllStopped = nil
        completion?()
    }

    /// The agent must go now: nobody waits for the plugins any more.
    func killAll() {
        for plugin in plugins {
            if let pid = plugin.pid { _ = kill(-pid, SIGKILL) }
        }
    }
}

extension DesiredPlugins: PluginOwner {
    func started(_ plugin: Plugin) { step(plugin.name) { $0.processStarted(at: MonotonicTime.now()) } }

    func failed(_ plugin: Plugin, _ reason: String) {
        guard !isStopping else { return }
        step(plugin.name) { $0.processEnded(reason, at: MonotonicTime.now()) }
    }

    func programChanged(_ plugin: Plugin) {
        guard !isStopping else { return }
        step(plugin.name) { $0.programChanged(at: MonotonicTime.now()) }
    }

    func settled(_ task: PluginTask, isWritten: Bool, by plugin: Plugin) {
        onSettled(task, isWritten ? nil : "plugin \(plugin.name) ended before it had been written to it")
    }
}
