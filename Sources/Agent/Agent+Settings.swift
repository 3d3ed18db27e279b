// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Cgroups
import Components
import Configuration
import Delivery
import DiskWorker
import Glibc
import HTTP1
import Host
import Logging
import Net
import Plugins
import Reactor
import Syscalls
import TLS
import Transport

// What the parts are told of the configuration, at the start and when it is reloaded.
extension Agent {
    /// What the agent is made of, for those who have to know which hosts run which OpenSSL.
    static let libraries = [HeartbeatField("tls_library", TLSContext.libraryVersion)]

    func makeTransfer() -> TransferClient {
        TransferClient(
            settings: transferSettings(),
            outbox: outbox,
            ownLane: ownLane,
            reactor: reactor,
            resolver: resolver,
            log: log
        ) { [unowned self] () throws(TLSError) in
            self.certificateStamp = self.certificateFiles.map(FileIdentity.init)
            let tls = self.configuration.tls
            return try TLSContext(
                role: .client,
                files: .init(authority: tls.ca, certificate: tls.certificate, privateKey: tls.privateKey)
            )
        }
    }

    func makeIntake() -> Intake {
        let intake = Intake(
            pool: pool,
            outbox: outbox,
            reactor: reactor,
            linger: TimeSpan(configuration.transfer.linger),
            messageSize: configuration.transfer.messageSize
        ) { [unowned self] in self.queued() }
        intake.onShortage = { [unowned self] in self.spool.pump() }
        return intake
    }

    private var certificateFiles: [String] {
        [configuration.tls.ca, configuration.tls.certificate, configuration.tls.privateKey]
    }

    func transferSettings() -> TransferSettings {
        let agent = configuration.agent
        let timeouts = configuration.timeouts
        var region = TransferSettings.Region()
        if let configured = configuration.regions[agent.region] {
            region.discovery = configured.serviceDiscovery.map(endpoint)
            region.privateEndpoints = configured.privateEndpoints.map(endpoint)
            region.publicEndpoints = configured.publicEndpoints.map(endpoint)
        }
        var settings = TransferSettings(
            region: region,
            serverName: configuration.tls.serverName,
            coding: coding(configuration.transfer.compression),
            connectLimit: TimeSpan(timeouts.connect),
            handshakeLimit: TimeSpan(timeouts.tlsHandshake),
            acceptLimit: TimeSpan(timeouts.callAccept),
            closeLimit: TimeSpan(timeouts.flush),
            reconnectMinimum: TimeSpan(timeouts.reconnectMin),
            reconnectMaximum: TimeSpan(timeouts.reconnectMax)
        )
        settings.proxy = configuration.transfer.proxy.map {
            Proxy(host: $0.endpoint.host, port: $0.endpoint.port, credentials: $0.credentials)
        }
        settings.proxyEnvironment = ProxyEnvironment(source.environment)
        settings.idc = agent.idc
        settings.regionName = agent.region
        settings.discoveryLimit = TimeSpan(timeouts.discovery)
        settings.keepalive = TimeSpan(timeouts.keepalive)
        settings.keepaliveTimeout = TimeSpan(timeouts.keepaliveTimeout)
        settings.confirmSpacing = TimeSpan(timeouts.confirmPing)
        settings.conflictLimit = TimeSpan(timeouts.conflictAbnormal)
        return settings
    }

    private func endpoint(_ endpoint: Endpoint) -> TransferSettings.Endpoint {
        TransferSettings.Endpoint(host: endpoint.host, port: endpoint.port)
    }

    func makePlugins() -> DesiredPlugins {
        let plugins = DesiredPlugins(environment: pluginEnvironment(), log: log)
        plugins.onSettled = { [unowned self] in self.tasks.settled($0, failure: $1) }
        plugins.onAgentEntry = { [unowned self] in self.upgrade.want($0) }
        return plugins
    }

    func makeUpgrade() -> AgentUpgrade {
        AgentUpgrade(
            version: version,
            workDirectory: configuration.agent.workDirectory,
            reactor: reactor,
            children: children,
            log: log,
            settings: upgradeSettings()
        )
    }

    func upgradeSettings() -> AgentUpgrade.Settings {
        var settings = AgentUpgrade.Settings()
        settings.isEnabled = configuration.upgrade.enabled
        settings.allowsLower = configuration.upgrade.allowLower
        settings.allowsForeign = configuration.upgrade.allowForeign
        settings.limit = TimeSpan(configuration.timeouts.upgrade)
        settings.retryMinimum = TimeSpan(configuration.timeouts.installRetryMin)
        settings.retryMaximum = TimeSpan(configuration.timeouts.installRetryMax)
        settings.install = installSettings()
        settings.configuration = source.path
        settings.controlSocket = configuration.agent.controlSocket
        settings.logFile = "\(configuration.agent.logDirectory)/elkeid-upgrade.log"
        settings.pluginDirectory = configuration.pluginDirectory
        return settings
    }

    func pluginEnvironment() -> DesiredPlugins.Environment {
        let timeouts = configuration.timeouts
        var policy = Supervision.Policy()
        let term = TimeSpan(timeouts.pluginTerm)
        policy.stop = StopStep.orderly(drain: TimeSpan(timeouts.pluginDrain), term: term)
        policy.condemn = StopStep.abrupt(term: term)
        policy.healthy = TimeSpan(timeouts.pluginHealthy)
        policy.restartMinimum = TimeSpan(configuration.timeouts.pluginRestartMin)
        policy.restartMaximum = TimeSpan(configuration.timeouts.pluginRestartMax)
        var componentPolicy = Component.Policy()
        componentPolicy.probation = TimeSpan(timeouts.probation)
        componentPolicy.retryMinimum = TimeSpan(timeouts.installRetryMin)
        componentPolicy.retryMaximum = TimeSpan(timeouts.installRetryMax)
        let notOurs = ServiceNotifier.variables.map { "\($0)=" }
        let inherited = processEnvironment().filter { entry in !notOurs.contains { entry.hasPrefix($0) } }
        return DesiredPlugins.Environment(
            reactor: reactor,
            children: children,
            disk: disk,
            intake: intake,
            defaults: childDefaults(environment: inherited),
            policy: policy,
            componentPolicy: componentPolicy,
            install: installSettings(),
            malformedLogInterval: TimeSpan(configuration.timeouts.malformedLog),
            term: term,
            directory: configuration.pluginDirectory,
            offersUrgentPipe: configuration.plugins.highPriorityPipe,
            stateFile: "\(configuration.agent.workDirectory)/components.json",
            group: { [unowned self] name in self.groups?.group(name, limits: self.limits(of: name)) },
            limits: { [unowned self] in self.limits(of: $0) }
        )
    }

    private func limits(of plugin: String) -> CgroupLimits {
        CgroupLimits(
            memory: configuration.memoryMax(plugin: plugin).map(\.value) ?? groups?.memoryShare,
            cpuPercent: configuration.cpuMax(plugin: plugin)?.percent,
            processes: configuration.processesMax(plugin: plugin)
        )
    }

    /// Plugins get cgroups of their own where the service's is ours to divide. Before the first child is started: it would
    /// be left where the agent cannot stay.
    func takeGroups() {
        do throws(PluginGroups.Absence) {
            let tree: CgroupTree
            do throws(Errno) { tree = try CgroupTree.current() } catch {
                throw PluginGroups.Absence("/proc/self/cgroup: \(error)")
            }
            let taken = try PluginGroups.take(tree)
            groups = taken
            limitsDescription = taken.description
            log.info("plugins have cgroups of their own: \(taken.description)")
        } catch {
            limitsDescription = "none: \(error)"
            let isLimited = configuration.limitsPlugins
            log.log(
                level: isLimited ? .warning : .info,
                "plugins have no cgroups of their own\(isLimited ? ", and no limits but the service's" : ""): \(error)"
            )
        }
    }

    /// The limits are those that the agent was started with, and raised then.
    private func childDefaults(environment: [String]) -> ChildDefaults {
        var defaults = originalLimits ?? ChildDefaults(environment: environment)
        originalLimits = defaults
        defaults.environment = environment
        return defaults
    }

    private func installSettings() -> InstallJob.Settings {
        let timeouts = configuration.timeouts
        var settings = InstallJob.Settings()
        settings.download.limit = TimeSpan(timeouts.download)
        settings.download.retryMinimum = TimeSpan(timeouts.downloadRetryMin)
        settings.download.retryMaximum = TimeSpan(timeouts.downloadRetryMax)
        settings.connect = TimeSpan(timeouts.connect)
        settings.stall = TimeSpan(timeouts.downloadStall)
        settings.authorities = configuration.plugins.downloadCA
        settings.proxy = configuration.plugins.downloadProxy.map {
            Proxy(host: $0.endpoint.host, port: $0.endpoint.port, credentials: $0.credentials)
        }
        return settings
    }

    func rotationPolicy() -> LogRotation.Policy {
        LogRotation.Policy(
            maximumSize: configuration.agent.logMaxSize,
            files: configuration.agent.logMaxFiles,
            age: TimeSpan(configuration.agent.logMaxAge)
        )
    }

    // MARK: Reload

    /// Puts what can be changed while running into effect, and says what waits for the next start.
    func apply(_ new: AgentConfiguration) {
        let old = configuration
        configuration = new
        for (key, changed) in [
            ("[agent] id", old.agent.id != new.agent.id),
            ("[agent] work_dir", old.agent.workDirectory != new.agent.workDirectory),
            ("[agent] log_dir", old.agent.logDirectory != new.agent.logDirectory),
            ("[transfer] linger", old.transfer.linger != new.transfer.linger),
            ("[transfer] message_size", old.transfer.messageSize != new.transfer.messageSize),
            ("[plugins]", !old.plugins.differsInLimitsOnly(from: new.plugins)),
            ("[spool] disk", old.spool.disk != new.spool.disk),
        ] where changed {
            log.warning("\(key) has changed; that takes effect when the agent is started again")
        }
        // Until then these are where they were.
        configuration.agent.id = old.agent.id
        configuration.transfer.linger = old.transfer.linger
        configuration.transfer.messageSize = old.transfer.messageSize
        configuration.agent.workDirectory = old.agent.workDirectory
        configuration.agent.logDirectory = old.agent.logDirectory
        configuration.plugins = old.plugins.limited(as: new.plugins)
        sink.level = Logger.Level(rawValue: "\(new.agent.logLevel)") ?? .info
        pool.limit = new.spool.memory
        configuration.spool.disk = old.spool.disk
        spool.spooler.policy = spoolPolicy()
        memoryFreed.schedule()
        spool.pump()
        rotationPolicyChanged()
        if old.agent.controlSocket != new.agent.controlSocket { openControl() }
        sizes.interval = TimeSpan(new.timeouts.directorySize)
        plugins.update(pluginEnvironment())
        upgrade.update(upgradeSettings())
        heartbeat.arm(after: TimeSpan(new.timeouts.heartbeat))
        let certificatesChanged = old.tls != new.tls || certificateStamp != certificateFiles.map(FileIdentity.init)
        transfer.update(transferSettings(), certificatesChanged: certificatesChanged)
        renewHeartbeat()
    }

    // MARK: Metadata

    /// Sets this host's IDC and region, for good: in `specified_env`, where elkeidctl sets them too, and at once.
    ///
    /// - Parameter completion: why that is not possible, or nil.
    func specify(idc: String?, region: String?, completion: @escaping (String?) -> Void) {
        var new = configuration
        if let problem = new.specify(idc: idc, region: region) { return completion(problem) }
        let path = "\(source.folder)/specified_env"
        let old: [UInt8]
        do throws(Errno) { old = try FileDescriptor.readFile(path) } catch {
            guard error == .notFound else { return completion("\(path): \(error)") }
            old = []
        }
        var values: [String: String] = [:]
        if let idc { values["specified_idc"] = idc }
        if let region { values["specified_region"] = region }
        disk.writeFile(path, SpecifiedEnvironment.setting(values, in: old), mode: 0o644) { [unowned self] result in
            if case .failure(let error) = result { return completion("\(error)") }
            // systemd has read the file into the environment when the agent started; that is older.
            for (name, value) in values where self.source.environment[name] != nil {
                self.source.environment[name] = value
                unsafe setenv(name, value, 1)
            }
            var current = self.configuration
            _ = current.specify(idc: idc, region: region)
            self.log.info(
                "idc and region are set",
                metadata: ["idc": "\(current.agent.idc)", "region": "\(current.agent.region)"]
            )
            self.apply(current)
            completion(nil)
        }
    }
}
