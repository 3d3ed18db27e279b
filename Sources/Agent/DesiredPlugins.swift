// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import ElkeidWire
import Glibc
import Logging
import Plugins
import Reactor

/// Makes the plugins that run those that the server's configuration names.
///
/// A plugin is started when its file is in place and has the checksum that the configuration gives. A name that is
/// not in the configuration any more is stopped.
final class DesiredPlugins {
    struct Environment {
        let reactor: Reactor
        let children: ChildWatcher
        let intake: Intake
        let defaults: ChildDefaults
        let policy: Supervision.Policy
        let malformedLogInterval: TimeSpan
        /// Holds a folder for each plugin; absolute.
        let directory: String
        let offersUrgentPipe: Bool
    }

    private var environment: Environment
    private let log: Logger
    private var running: [String: Plugin] = [:]
    /// The configuration last received, by name, for what is on its way.
    private var desired: [String: PluginConfig] = [:]
    private var verifications: [String: FileVerification] = [:]
    private var stopping = false
    /// Why a plugin that should run does not, for the agent's state.
    private(set) var problems: [String: String] = [:]

    init(environment: Environment, log: Logger) {
        self.environment = environment
        self.log = log
    }

    /// For plugins started from now on.
    func update(_ environment: Environment) { self.environment = environment }

    var plugins: [Plugin] { running.values.sorted { $0.name < $1.name } }

    func plugin(_ name: String) -> Plugin? { running[name] }

    /// Takes the server's list as the complete desired state.
    ///
    /// An empty list is left alone: a server that merely sends a command without configuration would else stop the
    /// plugins of the whole fleet.
    func apply(_ configs: [PluginConfig]) {
        guard !stopping else { return }
        let plugins = configs.filter { $0.name != "elkeid-agent" }
        guard !plugins.isEmpty else {
            if !running.isEmpty { log.warning("the server sent an empty configuration; the plugins are left running") }
            return
        }
        problems = [:]
        desired = [:]
        for config in plugins {
            guard Self.isValidName(config.name) else {
                problems[config.name] = "the name is not made of letters, digits, - and _"
                log.error("plugin \"\(config.name)\" is refused: its name is not made of letters, digits, - and _")
                continue
            }
            desired[config.name] = config
        }
        for plugin in self.plugins where desired[plugin.name] == nil { stop(plugin) }
        for config in desired.values.sorted(by: { $0.name < $1.name }) { realise(config) }
    }

    private func realise(_ config: PluginConfig) {
        if let plugin = running[config.name] {
            if Self.isSame(plugin.configuration, config) { return }
            return stop(plugin)
        }
        let path = "\(environment.directory)/\(config.name)/\(config.name)"
        let expected = config.signature.isEmpty ? config.sha256 : config.signature
        guard !expected.isEmpty else { return refuse(config, "the configuration has no checksum for it") }
        verifications[config.name]?.cancel()
        verifications[config.name] = FileVerification(path: path, expected: expected, reactor: environment.reactor) {
            [unowned self] outcome in
            self.verifications[config.name] = nil
            guard !self.stopping, self.desired[config.name] == config, self.running[config.name] == nil else { return }
            switch outcome {
            case .matches: self.start(config)
            case .differs(let actual):
                self.refuse(config, "\(path) has checksum \(actual), the configuration wants \(expected)")
            case .unreadable(let reason): self.refuse(config, "it is not in place: \(reason)")
            }
        }
    }

    private func refuse(_ config: PluginConfig, _ reason: String) {
        problems[config.name] = reason
        log.error(
            "plugin is not started: \(reason)",
            metadata: ["plugin": "\(config.name)", "version": "\(config.version)"]
        )
    }

    private func start(_ config: PluginConfig) {
        let launch = ProcessLaunch(
            name: config.name,
            directory: "\(environment.directory)/\(config.name)",
            detail: config.detail,
            offersUrgentPipe: environment.offersUrgentPipe,
            defaults: environment.defaults
        )
        let plugin = Plugin(
            configuration: config,
            launch: launch,
            policy: environment.policy,
            malformedLogInterval: environment.malformedLogInterval,
            reactor: environment.reactor,
            children: environment.children,
            intake: environment.intake,
            log: log
        )
        running[config.name] = plugin
        plugin.start()
    }

    /// Stops a plugin; when it has ended, another configuration of the same name may take its place.
    private func stop(_ plugin: Plugin) {
        plugin.stop { [unowned self] in
            self.running[plugin.name] = nil
            if let config = self.desired[plugin.name], !self.stopping { self.realise(config) }
            if self.stopping && self.running.isEmpty { self.allStopped() }
        }
    }

    private var onAllStopped: (() -> Void)?

    /// Stops all, side by side; `completion` is called when the last has ended and its records are read.
    func stopAll(completion: @escaping () -> Void) {
        stopping = true
        onAllStopped = completion
        for verification in verifications.values { verification.cancel() }
        if running.isEmpty { return allStopped() }
        for plugin in plugins { stop(plugin) }
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

    private static func isSame(_ left: PluginConfig, _ right: PluginConfig) -> Bool {
        left.version == right.version && left.sha256.lowercased() == right.sha256.lowercased()
            && left.signature.lowercased() == right.signature.lowercased() && left.detail == right.detail
    }

    static func isValidName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d
                    || $0 == 0x5f
            }
    }
}
