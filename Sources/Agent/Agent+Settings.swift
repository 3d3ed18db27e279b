// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Configuration
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
            self.certificateStamp = self.certificateFiles.map(FileStamp.init)
            let tls = self.configuration.tls
            return try TLSContext(
                role: .client,
                files: .init(authority: tls.ca, certificate: tls.certificate, privateKey: tls.privateKey)
            )
        }
    }

    func makeIntake() -> Intake {
        Intake(
            pool: pool,
            outbox: outbox,
            reactor: reactor,
            linger: TimeSpan(configuration.transfer.linger),
            messageSize: configuration.transfer.messageSize
        ) { [unowned self] in self.transfer.flush() }
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
        settings.conflictLimit = TimeSpan(timeouts.conflictAbnormal)
        return settings
    }

    private func endpoint(_ endpoint: Endpoint) -> TransferSettings.Endpoint {
        TransferSettings.Endpoint(host: endpoint.host, port: endpoint.port)
    }

    func pluginEnvironment() -> DesiredPlugins.Environment {
        var policy = Supervision.Policy()
        policy.drain = TimeSpan(configuration.timeouts.pluginDrain)
        policy.term = TimeSpan(configuration.timeouts.pluginTerm)
        policy.restartMinimum = TimeSpan(configuration.timeouts.pluginRestartMin)
        policy.restartMaximum = TimeSpan(configuration.timeouts.pluginRestartMax)
        let notOurs = ServiceNotifier.variables.map { "\($0)=" }
        let inherited = processEnvironment().filter { entry in !notOurs.contains { entry.hasPrefix($0) } }
        return DesiredPlugins.Environment(
            reactor: reactor,
            children: children,
            intake: intake,
            defaults: ChildDefaults(environment: inherited),
            policy: policy,
            malformedLogInterval: TimeSpan(configuration.timeouts.malformedLog),
            directory: configuration.pluginDirectory,
            offersUrgentPipe: configuration.plugins.highPriorityPipe
        )
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
            ("[agent] control_socket", old.agent.controlSocket != new.agent.controlSocket),
            ("[transfer] linger", old.transfer.linger != new.transfer.linger),
            ("[transfer] message_size", old.transfer.messageSize != new.transfer.messageSize),
            ("[plugins]", old.plugins != new.plugins),
            ("[spool] disk", old.spool.disk != new.spool.disk),
        ] where changed {
            log.warning("\(key) has changed; that takes effect when the agent is started again")
        }
        // Until then these are where they were.
        configuration.agent.workDirectory = old.agent.workDirectory
        configuration.agent.logDirectory = old.agent.logDirectory
        configuration.plugins = old.plugins
        sink.level = Logger.Level(rawValue: "\(new.agent.logLevel)") ?? .info
        pool.limit = new.spool.memory
        rotationPolicyChanged()
        sizes.interval = TimeSpan(new.timeouts.directorySize)
        plugins.update(pluginEnvironment())
        heartbeat.arm(after: TimeSpan(new.timeouts.heartbeat))
        let certificatesChanged = old.tls != new.tls || certificateStamp != certificateFiles.map(FileStamp.init)
        transfer.update(transferSettings(), certificatesChanged: certificatesChanged)
    }
}

/// Tells whether a file was replaced or written to.
struct FileStamp: Equatable {
    let device: UInt64
    let inode: UInt64
    let size: Int64
    let seconds: Int
    let nanoseconds: Int
}

extension FileStamp {
    /// Nil when the file cannot be found.
    init?(_ path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        self.init(
            device: UInt64(status.st_dev),
            inode: UInt64(status.st_ino),
            size: Int64(status.st_size),
            seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec
        )
    }
}
