// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import JSON

/// What the control socket's "status" says of an agent, as far as it decides over an upgrade.
public struct AgentReport: Equatable, Sendable {
    public var version: String
    public var pid: Int64
    public var isConnected: Bool
    /// The server has sent it its configuration.
    public var isConfigured: Bool
    /// Plugins that are to run.
    public var wanted: [String]
    public var running: [String]
    /// Of all plugins, since this process began.
    public var restarts: Int64

    public init(
        version: String,
        pid: Int64,
        isConnected: Bool,
        isConfigured: Bool,
        wanted: [String],
        running: [String],
        restarts: Int64 = 0
    ) {
        self.version = version
        self.pid = pid
        self.isConnected = isConnected
        self.isConfigured = isConfigured
        self.wanted = wanted
        self.running = running
        self.restarts = restarts
    }

    public init?(status: JSONValue) {
        guard let version = status["version"]?.string, let pid = status["pid"]?.integer else { return nil }
        let plugins = status["plugins"]?.array ?? []
        self.init(
            version: version,
            pid: pid,
            isConnected: status["connection"]?["state"]?.string == "running",
            isConfigured: status["configured"]?.bool == true,
            wanted: status["wanted"]?.strings ?? [],
            running: plugins.filter { $0["state"]?.string == "running" }.compactMap { $0["name"]?.string },
            restarts: plugins.reduce(0) { $0 &+ ($1["restarts"]?.integer ?? 0) }
        )
    }
}

/// Decides whether the new version is good: it has to be so for a while without a break, in one process.
public struct Verdict: Sendable {
    /// Seconds for which all has to be well: longer than a plugin needs to crash, and two probes of a connection.
    public static let settle: Int64 = 10

    public let version: String
    public let wasConnected: Bool
    /// Plugins that ran before.
    public let plugins: [String]
    private var goodSince: (pid: Int64, restarts: Int64, time: Int64)?
    /// What is missing.
    public private(set) var missing = "it has not answered"

    public init(version: String, wasConnected: Bool, plugins: [String]) {
        self.version = version
        self.wasConnected = wasConnected
        self.plugins = plugins
    }

    /// All is well, for now.
    public var isWell: Bool { goodSince != nil }

    /// Takes what the agent says, or that it says nothing.
    ///
    /// - Parameter time: in seconds, of a clock that does not go back.
    /// - Returns: whether the version is good.
    public mutating func take(_ report: AgentReport?, at time: Int64) -> Bool {
        guard let report else {
            goodSince = nil
            if missing.isEmpty { missing = "it does not answer any more" }
            return false
        }
        missing = lack(of: report)
        guard missing.isEmpty else {
            goodSince = nil
            return false
        }
        // A plugin that crashes may be back before it is looked at again.
        if goodSince?.pid != report.pid || goodSince?.restarts != report.restarts {
            goodSince = (report.pid, report.restarts, time)
        }
        return time - (goodSince?.time ?? time) >= Self.settle
    }

    private func lack(of report: AgentReport) -> String {
        guard report.version == version else { return "what runs is version \(report.version)" }
        if wasConnected {
            guard report.isConnected else { return "it has no connection to a server" }
            guard report.isConfigured else { return "it has not received the server's configuration" }
        }
        // What the server does not want any more need not run.
        let absent = plugins.filter { report.wanted.contains($0) && !report.running.contains($0) }
        guard absent.isEmpty else { return "plugins do not run: \(absent.joined(separator: ", "))" }
        return ""
    }
}
