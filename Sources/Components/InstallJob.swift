// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
import JSON
public import Net
public import Reactor
public import Upgrade

/// What a process that installs is to do: one line of JSON, the first that it reads.
public struct InstallJob: Equatable, Sendable {
    /// How downloads are made.
    public struct Settings: Equatable, Sendable {
        public var download = Download.Policy()
        /// For a name, and one of its addresses to accept the connection.
        public var connect = TimeSpan.seconds(15)
        /// How long a server may send nothing.
        public var stall = TimeSpan.seconds(60)
        /// PEM file with the authorities that https servers are checked against; nil: those of the system.
        public var authorities: String?
        /// For http and https alike; nil: the one that the environment names.
        public var proxy: Proxy?

        public init() {}
    }

    /// What an upgrade of the agent needs to be told.
    public struct AgentPackage: Equatable, Sendable {
        /// As it is to begin; what the package says is added to it.
        public var state: UpgradeState
        /// The package may be another agent's.
        public var allowsForeign: Bool

        public init(state: UpgradeState, allowsForeign: Bool) {
            self.state = state
            self.allowsForeign = allowsForeign
        }
    }

    public var config: PluginConfig
    /// The folder that holds a folder for each component, or that of upgrades; absolute.
    public var root: String
    public var settings: Settings
    /// It is the agent's own package, which is only checked and put ready; nil: it is a component.
    public var agentPackage: AgentPackage?

    public init(config: PluginConfig, root: String, settings: Settings, agentPackage: AgentPackage? = nil) {
        self.config = config
        self.root = root
        self.settings = settings
        self.agentPackage = agentPackage
    }

    var json: JSONValue {
        var members: [String: JSONValue] = [
            "config": config.json, "root": .string(root),
            "limit": .integer(settings.download.limit.nanoseconds),
            "maximum_size": .integer(Int64(clamping: settings.download.maximumSize)),
            "retry_minimum": .integer(settings.download.retryMinimum.nanoseconds),
            "retry_maximum": .integer(settings.download.retryMaximum.nanoseconds),
            "redirects": .integer(Int64(settings.download.redirects)),
            "connect": .integer(settings.connect.nanoseconds), "stall": .integer(settings.stall.nanoseconds),
        ]
        if let authorities = settings.authorities { members["authorities"] = .string(authorities) }
        if let proxy = settings.proxy {
            members["proxy_host"] = .string(proxy.host)
            members["proxy_port"] = .integer(Int64(proxy.port))
            if let credentials = proxy.credentials { members["proxy_credentials"] = .string(credentials) }
        }
        if let agentPackage {
            members["upgrade"] = agentPackage.state.json
            members["allows_foreign"] = .bool(agentPackage.allowsForeign)
        }
        return .object(members)
    }

    init?(json: JSONValue) {
        guard let config = json["config"].flatMap(PluginConfig.init(json:)), let root = json["root"]?.string,
            let limit = json["limit"]?.integer, let maximum = json["maximum_size"]?.integer, maximum >= 0,
            let retryMinimum = json["retry_minimum"]?.integer, let retryMaximum = json["retry_maximum"]?.integer,
            let redirects = json["redirects"]?.integer, let connect = json["connect"]?.integer,
            let stall = json["stall"]?.integer
        else { return nil }
        var settings = Settings()
        settings.download.limit = TimeSpan(nanoseconds: limit)
        settings.download.maximumSize = UInt64(maximum)
        settings.download.retryMinimum = TimeSpan(nanoseconds: retryMinimum)
        settings.download.retryMaximum = TimeSpan(nanoseconds: retryMaximum)
        settings.download.redirects = Int(redirects)
        settings.connect = TimeSpan(nanoseconds: connect)
        settings.stall = TimeSpan(nanoseconds: stall)
        settings.authorities = json["authorities"]?.string
        if let host = json["proxy_host"]?.string, let port = json["proxy_port"]?.integer {
            settings.proxy = Proxy(
                host: host,
                port: UInt16(truncatingIfNeeded: port),
                credentials: json["proxy_credentials"]?.string
            )
        }
        let state = json["upgrade"].flatMap(UpgradeState.init(json:))
        self.init(
            config: config,
            root: root,
            settings: settings,
            agentPackage: state.map { AgentPackage(state: $0, allowsForeign: json["allows_foreign"]?.bool == true) }
        )
    }
}

/// Why an installation came to nothing.
enum InstallFailure: Error, Equatable {
    /// It may succeed another time.
    case failed(String)
    /// What the checksum stands for can never be installed.
    case refused(String)
}

/// What a process that installs says: a line of JSON each.
enum InstallMessage: Equatable {
    /// For the log: something did not go as it should, and the installation goes on.
    case note(String)
    /// Bytes that are there, of how many, where that is known; or what is done with them.
    case progress(bytes: UInt64, total: UInt64?)
    case stage(String)
    case staged
    case failed(String)
    case refused(String)

    var json: JSONValue {
        switch self {
        case .note(let text): .object(["note": .string(text)])
        case .progress(let bytes, let total):
            .object([
                "bytes": .integer(Int64(clamping: bytes)),
                "total": total.map { .integer(Int64(clamping: $0)) } ?? .null,
            ])
        case .stage(let text): .object(["stage": .string(text)])
        case .staged: .object(["staged": .bool(true)])
        case .failed(let reason): .object(["failed": .string(reason)])
        case .refused(let reason): .object(["refused": .string(reason)])
        }
    }

    init?(json: JSONValue) {
        if let text = json["note"]?.string {
            self = .note(text)
        } else if let bytes = json["bytes"]?.integer {
            self = .progress(bytes: UInt64(max(0, bytes)), total: json["total"]?.integer.map { UInt64(max(0, $0)) })
        } else if let text = json["stage"]?.string {
            self = .stage(text)
        } else if json["staged"]?.bool == true {
            self = .staged
        } else if let reason = json["failed"]?.string {
            self = .failed(reason)
        } else if let reason = json["refused"]?.string {
            self = .refused(reason)
        } else {
            return nil
        }
    }
}
