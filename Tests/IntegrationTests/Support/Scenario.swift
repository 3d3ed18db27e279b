// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// A folder, and the programs that a test runs in it. All of them end with the scenario.
final class Scenario {
    let folder: TemporaryFolder
    private(set) var plugins: [TestPlugin] = []
    private var servers: [InteropServer] = []
    private var discoveries: [InteropDiscovery] = []
    private var faults: [FaultProxy] = []
    private var agents: [AgentRun] = []
    private var webServers: [WebServer] = []

    private init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(atPath: pluginFolder, withIntermediateDirectories: true)
    }

    /// Runs a test; what it started is ended and removed however it ends.
    static func run(_ body: (Scenario) throws -> Void) throws {
        let scenario = try Scenario()
        defer { scenario.end() }
        try body(scenario)
    }

    /// An nginx for components.
    func startWebServer() throws -> WebServer {
        let place = folder.path + "/web\(webServers.count)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let server = try WebServer(in: place)
        webServers.append(server)
        return server
    }

    /// A file in a component's folder.
    func file(_ name: String, of component: String) -> String { "\(pluginFolder)/\(component)/\(name)" }

    var pluginFolder: String { folder.path + "/work/plugin" }

    private func end() {
        for agent in agents { agent.end() }
        for server in servers { server.end() }
        for discovery in discoveries { discovery.end() }
        for proxy in faults { proxy.end() }
        for server in webServers { server.end() }
        // Plugins that ignore everything, and what plugins started: they work in this folder.
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = pid_t(entry), pid != getpid(), Self.workingDirectory(pid).hasPrefix(folder.path) else {
                continue
            }
            kill(pid, SIGKILL)
        }
        if TestEnvironment.keepsFolders { print("kept: \(folder.path)") } else { folder.remove() }
    }

    private static func workingDirectory(_ pid: pid_t) -> String {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")) ?? ""
    }

    // MARK: Parts

    @discardableResult
    func addWriter(_ name: String = "writer", _ settings: [String: Any] = [:], detail: String = "") throws -> TestPlugin
    {
        var plugin = try TestPlugin(
            writer: name,
            settings.merging(["lane": name]) { given, _ in given },
            in: pluginFolder
        )
        plugin.detail = detail
        plugins.append(plugin)
        return plugin
    }

    @discardableResult
    func addScript(_ name: String, _ lines: String) throws -> TestPlugin {
        let plugin = try TestPlugin(script: name, lines, in: pluginFolder)
        plugins.append(plugin)
        return plugin
    }

    @discardableResult
    func addProgram(_ name: String, _ program: String) throws -> TestPlugin {
        let plugin = try TestPlugin(program: name, program, in: pluginFolder)
        plugins.append(plugin)
        return plugin
    }

    /// A server that pushes the configuration of the plugins added so far.
    ///
    /// - Parameter dumps: whether it keeps every record, for `Cluster.expectNothingMissing`.
    func startServer(
        _ arguments: [String] = [],
        certificates: CertificateSet = .ordinary,
        dumps: Bool = false
    ) throws -> InteropServer {
        let place = folder.path + "/server\(servers.count)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        var arguments = arguments
        if !plugins.isEmpty {
            let file = place + "/configs.json"
            try JSONSerialization.data(withJSONObject: plugins.map(\.configuration)).write(to: URL(filePath: file))
            arguments += ["-config", file]
        }
        let server = try InteropServer(in: place, certificates: certificates, arguments: arguments, dumps: dumps)
        servers.append(server)
        return server
    }

    /// A Service Discovery that knows nothing yet, or a proxy.
    func startDiscovery(_ arguments: [String] = []) throws -> InteropDiscovery {
        let place = folder.path + "/discovery\(discoveries.count)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let discovery = try InteropDiscovery(in: place, arguments: arguments)
        discoveries.append(discovery)
        return discovery
    }

    /// The network before a server, which is host:port; agents are to be given the proxy's address as their endpoint.
    func startFaults(target: String) throws -> FaultProxy {
        let place = folder.path + "/faults\(faults.count)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let proxy = try FaultProxy(in: place, target: target)
        faults.append(proxy)
        return proxy
    }

    /// An agent for the servers started so far, or for other endpoints.
    func startAgent(
        _ settings: Settings = [:],
        endpoints: [String]? = nil,
        certificates: ClientCertificates? = nil,
        launcher: [String] = [],
        options: ChildProcess.Options = .init()
    ) throws -> AgentRun {
        let configuration = AgentRun.configuration(
            in: folder.path,
            endpoints: endpoints ?? servers.map(\.address),
            certificates: try certificates ?? ClientCertificates(.ordinary),
            settings: settings
        )
        var options = options
        options.environment = options.environment ?? TestEnvironment.withoutProxies
        if TestEnvironment.isSanitized {
            // Swift keeps the address of a weakly referenced object's side table in a form that LeakSanitizer does not
            // recognise.
            let file = folder.path + "/suppressions"
            try write("leak:formWeakReference\n", to: file)
            options.environment? += ["LSAN_OPTIONS=suppressions=\(file):print_suppressions=0"]
        }
        let agent = try AgentRun(
            in: folder.path,
            configuration: configuration,
            launcher: launcher,
            options: options
        )
        agents.append(agent)
        return agent
    }

    /// What the programs said last.
    var state: String {
        (agents.map(\.state) + servers.map(\.state) + discoveries.map(\.state) + faults.map(\.state))
            .joined(separator: "\n")
    }

    // MARK: Expectations

    /// After the agent's orderly end: what the plugins wrote is exactly what the server got, and what the agent says.
    func expectEverythingDelivered(
        _ agent: AgentRun,
        _ server: InteropServer,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let stats = try server.stats()
        var written = (records: 0, malformed: 0)
        for plugin in plugins {
            let summary = try #require(plugin.summary, "\(plugin.name) left no summary", sourceLocation: sourceLocation)
            #expect(summary.error == nil, "\(plugin.name)", sourceLocation: sourceLocation)
            #expect(summary.ended, "\(plugin.name) did not end by itself", sourceLocation: sourceLocation)
            for (lane, count) in summary.lanes {
                #expect(stats.lanes[lane] == .complete(count), "lane \(lane)", sourceLocation: sourceLocation)
            }
            written.records += summary.records
            written.malformed += summary.malformed
        }
        // The agent's errors are records as well.
        let own = stats.heartbeats + stats.pluginHeartbeats + stats.errorReports
        #expect(stats.records - stats.errorReports == written.records, sourceLocation: sourceLocation)
        #expect(stats.malformed == 0, sourceLocation: sourceLocation)
        let ledger = try agent.ledger()
        #expect(ledger.isBalanced, "\(ledger)", sourceLocation: sourceLocation)
        #expect(
            ledger
                == AgentRun.Ledger(
                    received: written.records + written.malformed + own,
                    malformed: written.malformed,
                    queued: 0,
                    inFlight: 0,
                    spooled: 0,
                    confirmed: written.records + own,
                    dropped: [:],
                    resent: 0
                ),
            sourceLocation: sourceLocation
        )
    }
}
