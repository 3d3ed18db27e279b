// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import ElkeidWire
import Logging
import Plugins
import Reactor
import Syscalls

// Carrying out what components decide.
extension DesiredPlugins {
    func perform(_ decided: [Component.Action], for name: String) {
        actions += decided.map { (name, $0) }
        guard !isPerforming else { return }
        isPerforming = true
        defer { isPerforming = false }
        while !actions.isEmpty {
            let (name, action) = actions.removeFirst()
            perform(action, name)
        }
    }

    private func perform(_ action: Component.Action, _ name: String) {
        guard !isStopping else { return }
        switch action {
        case .prepare(let config): prepare(config)
        case .install, .remove, .swap: afterEndOfInstall(name, action)
        case .cancelInstall: cancelInstall(name)
        case .start(let config): start(config)
        case .stop: if let plugin = running[name] { stop(plugin) }
        case .rollBack: rollBack(name)
        case .prove:
            store.prove(name) { [log] failure in
                // It has to prove itself once more after the next start of the agent: no harm.
                if let failure { log.warning("plugin \(name): \(failure)") }
            }
        case .wake(let time): wake(name, at: time)
        case .persist: persist()
        case .report(let report): say(report, name)
        }
    }

    private func metadata(_ name: String) -> Logger.Metadata {
        var result: Logger.Metadata = ["plugin": "\(name)"]
        if let version = components[name]?.wanted?.version { result["version"] = "\(version)" }
        return result
    }

    private func wake(_ name: String, at time: MonotonicTime) {
        let timer =
            timers[name]
            ?? environment.reactor.makeTimer { [unowned self] in self.step(name) { $0.woke(at: MonotonicTime.now()) } }
        timers[name] = timer
        timer.arm(at: time)
    }

    private func say(_ report: Component.Report, _ name: String) {
        let metadata = metadata(name)
        switch report {
        case .refused(let reason): log.error("plugin is refused: \(reason)", metadata: metadata)
        case .installFailed(let reason, let pause):
            log.error(
                "plugin cannot be installed: \(reason); next attempt in \(pause)",
                metadata: metadata
            )
        case .rollingBack(let reason):
            log.error("the new version has failed (\(reason)); the previous one is put back", metadata: metadata)
        case .rolledBack(let version): log.warning("rolled back to version \(version)", metadata: metadata)
        case .proven: log.info("the new version has proven itself", metadata: metadata)
        case .diskFailed(let reason, let pause):
            log.error("\(reason); next attempt in \(pause)", metadata: metadata)
        }
    }

    // MARK: Files

    private func prepare(_ config: PluginConfig) {
        store.prepare(config) { [unowned self] outcome in
            guard !self.isStopping else { return }
            let result: Component.Preparation
            switch outcome {
            case .ready(let manifest, let program):
                self.verified[config.name] = program
                result = .ready(manifest)
            case .differs(let reason):
                self.log.warning("\(reason)", metadata: self.metadata(config.name))
                result = .differs(reason)
            case .failed(let reason): result = .failed(reason)
            }
            self.step(config.name) { $0.prepared(result, at: MonotonicTime.now()) }
        }
    }

    private func swap(_ config: PluginConfig) {
        let name = config.name
        store.swap(config) { [unowned self] result in
            self.sweepLater.schedule()
            if case .success(let outcome) = result {
                let version = outcome.manifest.config.version
                self.log.info("version \(version) is installed", metadata: self.metadata(name))
            }
            self.step(name) { $0.swapped(result, at: MonotonicTime.now()) }
        }
    }

    private func rollBack(_ name: String) {
        store.rollBack(name) { [unowned self] result in
            self.sweepLater.schedule()
            self.step(name) { $0.rolledBack(result, at: MonotonicTime.now()) }
        }
    }

    private func remove(_ name: String) {
        store.remove(name) { [unowned self] failure in
            self.sweepLater.schedule()
            if failure == nil { self.log.info("plugin has been removed", metadata: ["plugin": "\(name)"]) }
            self.step(name) { $0.removed(failure, at: MonotonicTime.now()) }
        }
    }

    /// Removes what was discarded, a part at a time, so that other questions come in between.
    func sweep() {
        guard !isStopping else { return }
        store.sweep { [unowned self] result in
            switch result {
            case .success(true): self.sweepLater.schedule()
            case .success(false): break
            case .failure(let failure): self.log.warning("what was discarded cannot be removed: \(failure)")
            }
        }
    }

    // MARK: Installations

    /// What must not happen while an installation of the same name is still being ended.
    private func afterEndOfInstall(_ name: String, _ action: Component.Action) {
        if ending.contains(name) {
            afterEnding[name] = action
            return
        }
        switch action {
        case .install(let config):
            installQueue.append(config)
            beginInstalls()
        case .swap(let config): swap(config)
        case .remove: remove(name)
        default: break
        }
    }

    private func beginInstalls() { installLater.schedule() }

    /// One in a turn: until a process has begun to be another program, the loop stands still.
    func beginNextInstall() {
        guard !isStopping, installs.count + ending.count < Self.installLimit, !installQueue.isEmpty else { return }
        beginInstall(installQueue.removeFirst())
        beginInstalls()
    }

    private func beginInstall(_ config: PluginConfig) {
        let name = config.name
        var log = log
        log[metadataKey: "plugin"] = "\(name)"
        log[metadataKey: "version"] = "\(config.version)"
        do throws(Errno) {
            installs[name] = try InstallProcess(
                InstallJob(config: config, root: environment.directory, settings: environment.install),
                reactor: environment.reactor,
                children: environment.children,
                log: log
            ) { [unowned self] outcome in
                self.installs[name] = nil
                self.beginInstalls()
                guard !self.isStopping else { return }
                self.step(name) { $0.installed(outcome, at: MonotonicTime.now()) }
            }
        } catch {
            step(name) { $0.installed(.failed("no process for it can be started: \(error)"), at: MonotonicTime.now()) }
        }
    }

    private func cancelInstall(_ name: String) {
        installQueue.removeAll { $0.name == name }
        if case .install? = afterEnding[name] { afterEnding[name] = nil }
        guard let process = installs.removeValue(forKey: name) else { return }
        log.info("the installation of version \(process.job.config.version) is given up", metadata: metadata(name))
        ending.insert(name)
        process.cancel { [unowned self] in
            withExtendedLifetime(process) {}
            self.ending.remove(name)
            if let action = self.afterEnding.removeValue(forKey: name) {
                self.perform([action], for: name)
            } else {
                self.store.tidy(name) { [log = self.log] failure in
                    if let failure { log.warning("plugin \(name): \(failure)") }
                }
            }
            self.beginInstalls()
        }
    }

    // MARK: Processes

    private func start(_ config: PluginConfig) {
        guard let verified = verified[config.name] else { return }
        let launch = ProcessLaunch(
            name: config.name,
            directory: "\(environment.directory)/\(config.name)",
            detail: config.detail,
            offersUrgentPipe: environment.offersUrgentPipe,
            defaults: environment.defaults,
            verified: verified,
            group: environment.group(config.name)
        )
        let plugin = Plugin(
            configuration: config,
            launch: launch,
            policy: environment.policy,
            malformedLogInterval: environment.malformedLogInterval,
            reactor: environment.reactor,
            children: environment.children,
            intake: environment.intake,
            errorWatch: errorWatch,
            log: log
        )
        plugin.owner = self
        running[config.name] = plugin
        plugin.start()
    }
}
