// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import Configuration
import DiskWorker
import ElkeidWire
import Glibc
import JSON
import Logging
import Reactor
import Syscalls
import Upgrade

/// The agent's own upgrade, as far as the agent does it: has the package that the server names downloaded and checked,
/// hands it over to `UpgradeGuard`, and says how that went.
final class AgentUpgrade {
    struct Settings {
        var isEnabled = true
        var allowsLower = false
        var allowsForeign = false
        /// For the new version to show that it is good.
        var limit = TimeSpan.seconds(300)
        var retryMinimum = TimeSpan.seconds(30)
        var retryMaximum = TimeSpan.seconds(1800)
        var install = InstallJob.Settings()
        var configuration = ""
        var controlSocket = ""
        var logFile = ""
        var pluginDirectory = ""
    }

    /// Between looks at what the guard has done.
    private static let lookInterval = TimeSpan.seconds(1)
    /// For the guard to be at it.
    private static let launchLimit = TimeSpan.seconds(60)

    private let version: String
    private let folder: UpgradeFolder
    private let reactor: Reactor
    private let children: ChildWatcher
    private let log: Logger
    private(set) var settings: Settings
    /// What the server wants, when that is another version.
    private var wanted: PluginConfig?
    private var install: InstallProcess?
    private var isEnding = false
    /// The guard has it, or is to get it.
    private var isHandedOver = false
    private var launchedAt: MonotonicTime?
    private var failures = 0
    private var isRefused = false
    /// Why the agent is not what the server wants.
    private(set) var problem: String?
    private lazy var retry = reactor.makeTimer { [unowned self] in self.begin() }
    private lazy var look = reactor.makeTimer { [unowned self] in self.lookAtGuard() }

    init(
        version: String,
        workDirectory: String,
        reactor: Reactor,
        children: ChildWatcher,
        log: Logger,
        settings: Settings
    ) {
        self.version = version
        self.reactor = reactor
        self.children = children
        self.log = log
        self.settings = settings
        folder = UpgradeFolder(workDirectory: workDirectory)
    }

    /// For whoever asks how the agent does.
    var text: String {
        if isHandedOver { return "\(folder.state?.phase.rawValue ?? "prepared")" }
        if let install { return install.progress }
        return wanted == nil ? "none" : isRefused ? "refused" : "waiting"
    }

    /// Takes up what an earlier agent has begun.
    func start() {
        guard let state = folder.state else { return }
        if state.isFinal { return report(state) }
        log.notice("an upgrade from \(state.from) to \(state.to) is under way: \(state.phase.rawValue)")
        isHandedOver = true
        launchedAt = MonotonicTime.now()
        look.arm(after: Self.lookInterval)
    }

    /// What was refused may be allowed now.
    func update(_ settings: Settings) {
        self.settings = settings
        if isRefused {
            isRefused = false
            begin()
        }
    }

    // MARK: What the server wants

    /// Nil: nothing is said of the agent, or what runs is what is wanted.
    func want(_ config: PluginConfig?) {
        let config = config.flatMap { $0.version == version ? nil : $0 }
        let isNews = config.map { wanted?.hasContent(of: $0) != true } ?? (wanted != nil)
        wanted = config
        isRefused = false
        if isNews { failures = 0 }
        // What is being carried out is finished first.
        guard !isHandedOver else { return }
        if isNews, let running = install.take() {
            isEnding = true
            running.cancel { [unowned self] in
                withExtendedLifetime(running) {}
                self.isEnding = false
                self.begin()
            }
        }
        begin()
    }

    private func begin() {
        guard let config = wanted else {
            retry.cancel()
            problem = nil
            return
        }
        guard install == nil, !isEnding, !isHandedOver else { return }
        // The one before is over, but its guard still puts files away that have the same names.
        guard !folder.isGuarded else { return retry.arm(after: Self.lookInterval) }
        if let reason = objection(to: config) { return refuse(config, reason) }
        var state = UpgradeState(
            from: version,
            to: config.version,
            sha256: config.sha256,
            // Whatever the package turns out to be.
            kind: .deb,
            isForeign: false,
            configuration: settings.configuration,
            controlSocket: settings.controlSocket,
            logFile: settings.logFile,
            limit: max(1, settings.limit.nanoseconds / 1_000_000_000)
        )
        state.pluginDirectory = settings.pluginDirectory
        var job = InstallJob(config: config, root: folder.path, settings: settings.install)
        job.agentPackage = InstallJob.AgentPackage(state: state, allowsForeign: settings.allowsForeign)
        var log = log
        log[metadataKey: "version"] = "\(config.version)"
        log.notice("the server wants version \(config.version) of the agent, this is \(version)")
        do throws(Errno) {
            install = try InstallProcess(job, reactor: reactor, children: children, log: log) { [unowned self] in
                self.install = nil
                self.installed($0, config)
            }
        } catch {
            installed(.failed("no process for it can be started: \(error)"), config)
        }
    }

    private func objection(to config: PluginConfig) -> String? {
        guard settings.isEnabled else {
            return "[upgrade] enabled is off: install that version's package by hand, or switch it on"
        }
        if isLower(config.version, than: version), !settings.allowsLower {
            return "it is lower than \(version), and [upgrade] allow_lower is off"
        }
        let reason = folder.bad.reason(
            version: config.version,
            sha256: config.sha256,
            allowsForeign: settings.allowsForeign
        )
        return reason.map {
            "it was tried and is not tried again until the server names another version or checksum: \($0)"
        }
    }

    private func refuse(_ config: PluginConfig, _ reason: String) {
        let text = "version \(config.version) of the agent is refused: \(reason)"
        // The server says the same every time; and that it was taken back has been said.
        if problem == nil { log.error("\(text)") } else if problem != text { log.notice("\(text)") }
        problem = text
        isRefused = true
    }

    private func installed(_ outcome: Component.InstallOutcome, _ config: PluginConfig) {
        switch outcome {
        case .staged:
            problem = nil
            launch()
        case .failed(let reason):
            problem = "version \(config.version) of the agent cannot be fetched: \(reason)"
            log.error("\(problem ?? "")")
            beginLater()
        case .refused(let reason):
            markBad(config.version, config.sha256, reason)
            refuse(config, reason)
        }
    }

    private func beginLater() {
        let doubled = TimeSpan(nanoseconds: settings.retryMinimum.nanoseconds << Int64(min(failures, 10)))
        failures += 1
        let longest = min(doubled, settings.retryMaximum).nanoseconds
        // A fleet that failed together must not come back together.
        retry.arm(after: TimeSpan(nanoseconds: Int64.random(in: longest / 2...longest)))
    }

    private func markBad(_ version: String, _ sha256: String, _ reason: String) {
        var bad = folder.bad
        bad.mark(version: version, sha256: sha256, reason, isForeign: reason == PackageFacts.foreignObjection)
        do throws(Errno) { try folder.write(bad) } catch {
            log.warning("\(folder.badFile) cannot be written: \(error)")
        }
    }

    // MARK: The guard

    private func launch() {
        isHandedOver = true
        launchedAt = MonotonicTime.now()
        var spawn = Spawn(
            SelfProcess.program,
            ["elkeid-agent", UpgradeGuard.argument, UpgradeGuard.launchArgument, folder.path],
            environment: processEnvironment(),
            descriptors: [-1, -1, -1]
        )
        spawn.family = .ownSession
        do {
            let null = try FileDescriptor.open("/dev/null", .readWrite)
            spawn.descriptors = [null.rawValue, null.rawValue, null.rawValue]
            let pid = try spawn.start()
            try children.watch(pid) { [log] status in
                if status != .exited(code: 0) { log.warning("the start of the upgrade's guard ended: \(status)") }
            }
            log.notice("the package is handed over to the upgrade's guard; \(settings.logFile) has what it does")
        } catch {
            log.error("the upgrade's guard cannot be started: \(error)")
        }
        look.arm(after: Self.lookInterval)
    }

    private func lookAtGuard() {
        guard let state = folder.state else {
            isHandedOver = false
            return beginLater()
        }
        if state.isFinal {
            isHandedOver = false
            report(state)
            // Refused by now if the version is bad; else it is what came in between that was.
            return beginLater()
        }
        look.arm(after: Self.lookInterval)
        guard let launchedAt, !folder.isGuarded else {
            self.launchedAt = MonotonicTime.now()
            return
        }
        guard MonotonicTime.now() - launchedAt >= Self.launchLimit else { return }
        if state.phase == .prepared {
            problem = "the upgrade's guard does not run; can programs in \(folder.path) be executed?"
            log.error("\(problem ?? "")")
        }
        launch()
    }

    /// Once for each upgrade, by the version that runs after it.
    private func report(_ state: UpgradeState) {
        let file = "\(folder.path)/reported"
        let mark = state.json.encoded
        guard (try? FileDescriptor.readFile(file)) != mark else { return }
        let complaint = state.complaint.isEmpty ? "" : " (\(state.complaint))"
        if state.phase == .succeeded {
            let gap = state.gap.map { "; all was well again \($0) ms after the order to restart" } ?? ""
            log.notice("upgraded from version \(state.from) to \(state.to)\(gap)\(complaint)")
        } else if state.isPutOff {
            problem = "the upgrade to version \(state.to) is put off: \(state.reason)"
            log.error("\(problem ?? "")")
        } else {
            let text = "version \(state.to) was taken back, and \(state.from) runs again: \(state.reason)\(complaint)"
            problem = text
            log.error("\(text)")
        }
        do throws(Errno) { try replaceFile(file, mark, permissions: 0o600) } catch {
            log.warning("\(file) cannot be written: \(error)")
        }
    }

    /// The guard, if there is one, goes on.
    func stop() {
        retry.cancel()
        look.cancel()
        install?.cancel {}
    }
}
