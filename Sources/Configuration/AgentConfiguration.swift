// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The configuration of the agent, complete: every key has a value, its default if nothing else was said.
///
/// Paths are as they are to be opened: a relative one in the file was put behind the folder of the file.
/// Sizes are in bytes.
public struct AgentConfiguration: Sendable, Equatable {
    public var agent: Agent
    public var tls: TLS
    /// `[region "NAME"]` by name. The built-in region exists only as long as the file defines none.
    public var regions: [String: Region]
    public var transfer = Transfer()
    public var spool = Spool()
    public var plugins = Plugins()
    public var upgrade = Upgrade()
    /// `[plugin "NAME"]` by name: what is different for one plugin.
    public var pluginOverrides: [String: PluginOverride] = [:]
    public var timeouts = Timeouts()

    /// The defaults.
    ///
    /// - Parameter folder: The folder of the configuration file, which the certificates' default paths are relative to.
    public init(folder: String = Defaults.folder) {
        agent = Agent()
        tls = TLS(folder: folder)
        regions = [Defaults.region: Region(Defaults.serviceDiscovery, private: Defaults.privateEndpoints)]
    }

    /// `[agent]`
    public struct Agent: Sendable, Equatable {
        /// The agent id, if it is not to be derived from the host.
        public var id: String?
        public var workDirectory = Defaults.workDirectory
        public var logDirectory = Defaults.logDirectory
        public var logLevel = LogLevel.info
        /// Bytes at which the log file is put aside.
        public var logMaxSize = Defaults.logMaxSize
        /// Files put aside that are kept, compressed.
        public var logMaxFiles = Defaults.logMaxFiles
        /// How long they are kept.
        public var logMaxAge = Defaults.logMaxAge
        public var idc = Defaults.idc
        /// Which of the regions this host belongs to.
        public var region = Defaults.region
        public var controlSocket = Defaults.controlSocket
    }

    /// `[tls]`: PEM files, and the name in the server's certificate.
    public struct TLS: Sendable, Equatable {
        public var ca: String
        public var certificate: String
        public var privateKey: String
        /// Checked against the certificate, whatever address is dialled.
        public var serverName = Defaults.serverName

        init(folder: String) {
            ca = path(Defaults.ca, in: folder)
            certificate = path(Defaults.certificate, in: folder)
            privateKey = path(Defaults.privateKey, in: folder)
        }
    }

    /// `[region "NAME"]`: where the Agent Centers of a region are; tried in this order.
    public struct Region: Sendable, Equatable {
        public var serviceDiscovery: [Endpoint] = []
        public var privateEndpoints: [Endpoint] = []
        public var publicEndpoints: [Endpoint] = []

        public var isEmpty: Bool { serviceDiscovery.isEmpty && privateEndpoints.isEmpty && publicEndpoints.isEmpty }
    }

    /// `[transfer]`: how records are put into messages.
    public struct Transfer: Sendable, Equatable {
        public var compression = Compression.none
        /// The longest time for which a record waits for others; zero sends at once.
        public var linger = Defaults.linger
        /// Bytes, before compression, at which a message is cut.
        public var messageSize = Defaults.messageSize
        /// An HTTP proxy through which servers are reached by CONNECT; nil: directly.
        public var proxy: ProxyAddress?
    }

    /// `[spool]`: what is kept while it cannot be sent.
    public struct Spool: Sendable, Equatable {
        public var memory = Defaults.spoolMemory
        /// Zero: memory only.
        public var disk = Defaults.spoolDisk
        public var whenFull = WhenFull.dropOldest
        /// Bytes in a second.
        public var replayRate = Defaults.spoolReplayRate
    }

    /// `[plugins]`: what holds for all plugins, the limits for each one of them.
    public struct Plugins: Sendable, Equatable {
        /// Where the plugins' folders are, if not in the agent's work directory; see `pluginDirectory`.
        public var workDirectory: String?
        /// Nil: a share of what the service may use.
        public var memoryMax: Limit<Int>?
        /// Nil: no limit.
        public var cpuMax: CPUShare?
        /// Processes and threads; nil: no limit.
        public var processesMax: Int?
        /// PEM file with the authorities that https downloads are checked against; nil: those that the host trusts.
        public var downloadCA: String?
        /// An HTTP proxy for downloads; nil: the one that the environment names.
        public var downloadProxy: ProxyAddress?
        /// Whether plugins are offered a second pipe for records that must not wait, fd 5.
        public var highPriorityPipe = false
    }

    /// `[upgrade]`: what the server may do with the agent itself.
    public struct Upgrade: Sendable, Equatable {
        /// Whether it may replace the agent at all.
        public var enabled = true
        /// Whether it may put a lower version in place.
        public var allowLower = false
        /// Whether the package may be another agent's: the original one's.
        public var allowForeign = false
    }

    /// `[plugin "NAME"]`: nil takes what `[plugins]` says.
    public struct PluginOverride: Sendable, Equatable {
        public var memoryMax: Limit<Int>?
        public var cpuMax: Limit<CPUShare>?
        public var processesMax: Limit<Int>?
    }

    /// Held by the agent that has the work directory: who holds it tells which agent runs.
    public var lockFile: String { path("agent.lock", in: agent.workDirectory) }

    /// Has any plugin a limit that somebody has set?
    public var limitsPlugins: Bool { plugins.isLimited || pluginOverrides.values.contains(where: \.isLimited) }

    /// The folder that has a folder for each plugin.
    public var pluginDirectory: String {
        plugins.workDirectory ?? path(Defaults.pluginFolder, in: agent.workDirectory)
    }

    /// Bytes of memory that a plugin may use; nil: a share of what the service may use.
    public func memoryMax(plugin name: String) -> Limit<Int>? {
        pluginOverrides[name]?.memoryMax ?? plugins.memoryMax
    }

    /// Processes and threads that a plugin may have at once; nil: no limit.
    public func processesMax(plugin name: String) -> Int? {
        pluginOverrides[name]?.processesMax.map(\.value) ?? plugins.processesMax
    }

    /// CPU time that a plugin may use; nil: no limit.
    public func cpuMax(plugin name: String) -> CPUShare? {
        pluginOverrides[name]?.cpuMax.map(\.value) ?? plugins.cpuMax
    }
}

extension AgentConfiguration.Plugins {
    public var isLimited: Bool { memoryMax?.value != nil || cpuMax != nil || processesMax != nil }

    /// The same with another's limits, which can be changed while plugins run.
    public func limited(as other: Self) -> Self {
        var result = self
        result.memoryMax = other.memoryMax
        result.cpuMax = other.cpuMax
        result.processesMax = other.processesMax
        return result
    }

    public func differsInLimitsOnly(from other: Self) -> Bool { limited(as: other) == other }
}

extension AgentConfiguration.PluginOverride {
    public var isLimited: Bool { memoryMax?.value != nil || cpuMax?.value != nil || processesMax?.value != nil }
}

extension AgentConfiguration.Region {
    init(_ serviceDiscovery: [Endpoint], private privateEndpoints: [Endpoint]) {
        self.serviceDiscovery = serviceDiscovery
        self.privateEndpoints = privateEndpoints
    }
}

/// `path` behind `folder`, unless it is absolute.
func path(_ path: String, in folder: String) -> String {
    if path.utf8.first == UInt8(ascii: "/") || folder.isEmpty { return path }
    return folder == "/" ? "/\(path)" : "\(folder)/\(path)"
}
