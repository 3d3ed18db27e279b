// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Console
import ElkeidWire
import Glibc
import Reactor
import Syscalls

/// Runs an agent with one plugin against a center, and compares what the one sent with what the other got.
final class Demo {
    /// For the agent to end once it is told to.
    static let agentLimit = TimeSpan.seconds(30)
    /// For the last bytes of its connection to be read after it has ended.
    static let drainLimit = TimeSpan.seconds(5)
    static let version = "1.0.0.0"

    private let folder: DemoFolder
    private let reactor: Reactor
    private let watcher: ChildWatcher
    private let session: Session
    private var agent: ChildProcess?
    private var limit: Timer?
    private var failure: CenterError?

    /// The exit code: 0 when something arrived and nothing is missing.
    static func run(_ options: DemoOptions) throws(CenterError) -> Int32 {
        let agent = try absolute(options.agent ?? besideUs("elkeid-agent"), what: "--agent")
        guard !options.plugin.hasSuffix(".gz") else { throw isArchive(options.plugin) }
        let plugin = try absolute(options.plugin, what: "--plugin")
        let component = try pluginComponent(plugin, detail: options.detail)
        let folder = try DemoFolder()
        defer {
            let count = folder.endLeftovers()
            if count > 0 { Terminal.complain("\(count) processes that the agent had left behind were killed") }
            if !options.keep { Folder.remove(folder.path) }
        }
        try folder.place(component)
        let demo = try Demo(folder, component, options)
        let summary = try demo.run(agent)
        if options.keep { Terminal.complain("kept: \(folder.path)") }
        return summary.isGood ? 0 : 1
    }

    private init(_ folder: DemoFolder, _ component: Component, _ options: DemoOptions) throws(CenterError) {
        self.folder = folder
        reactor = try DevelopmentCenterProgram.makeReactor()
        let loopback = try SocketAddress(text: "127.0.0.1:0")
        let center = try Center(
            Center.Settings(
                listen: loopback,
                http: loopback,
                certificates: folder.certificates.server,
                uploads: folder.uploads,
                components: [component]
            ),
            reactor: reactor
        )
        // The file is in place, so its hash stands for the one that an archive's executable would have.
        var config = center.configuration?.first ?? PluginConfig()
        config.signature = component.sha256
        center.configuration = [config]
        try folder.writeConfiguration(port: center.port, coding: options.coding)
        let display = Display(
            options.display,
            title: "Plugin \(component.name), an agent and a center",
            terminal: Terminal()
        )
        session = try Session(center, display: display, seconds: options.display.seconds, reactor: reactor)
        do throws(Errno) { watcher = try ChildWatcher(reactor: reactor) } catch {
            throw CenterError("children cannot be watched: \(error)")
        }
    }

    private func run(_ path: String) throws(CenterError) -> Summary {
        agent = try ChildProcess(
            [path, "--config", folder.configuration],
            environment: DemoFolder.environment(),
            directory: folder.path,
            log: folder.agentOutput,
            watcher: watcher
        ) { [unowned self] status in self.agentEnded(status) }
        limit = reactor.makeTimer { [unowned self] in self.limitReached() }
        session.onStop = { [unowned self] in self.stopAgent() }
        session.onHurry = { [unowned self] in self.agent?.signal(SIGKILL) }
        session.display.noted("agent \(path), process \(agent?.pid ?? 0)")
        do throws(CenterError) { try session.run() } catch {
            agent?.signal(SIGKILL)
            throw error
        }
        let ledger = readLedger()
        Summary.show(session.figures(), agent: ledger, display: session.display)
        if let failure {
            for line in folder.lastOutput(lines: 20) { Terminal.complain("agent: \(line)") }
            throw failure
        }
        return Summary(arrived: session.center.statistics.records, agent: ledger)
    }

    // MARK: The end

    private func stopAgent() {
        guard let agent, agent.status == nil else { return drain() }
        agent.signal(SIGTERM)
        limit?.arm(after: Self.agentLimit)
    }

    private func agentEnded(_ status: ExitStatus) {
        limit?.cancel()
        if !session.isStopping {
            failure = CenterError("the agent ended by itself: \(status); its last lines are above")
            // The session's own stop asks for nothing more than the rest of the connection.
            return session.stop()
        }
        if status != .exited(code: 0) && failure == nil { failure = CenterError("the agent ended with \(status)") }
        drain()
    }

    private var drainDeadline: MonotonicTime?

    /// The agent is gone: what it sent last is still read, until its connection has ended.
    private func drain() {
        let deadline = drainDeadline ?? MonotonicTime.now() + Self.drainLimit
        drainDeadline = deadline
        guard session.center.connectionCount > 0, MonotonicTime.now() < deadline else { return session.finish() }
        limit?.arm(after: .milliseconds(10))
    }

    private func limitReached() {
        guard let agent, agent.status == nil else { return drain() }
        failure = CenterError(
            "the agent did not end within \(Int(Self.agentLimit.seconds)) s of SIGTERM, and was killed"
        )
        agent.signal(SIGKILL)
    }

    private func readLedger() -> AgentLedger? {
        do throws(Errno) {
            let bytes = try FileDescriptor.readFile(folder.ledger)
            do throws(CenterError) { return try AgentLedger(json: bytes) } catch {
                failure = failure ?? error
            }
        } catch {
            failure = failure ?? CenterError("the agent left no ledger (\(folder.ledger): \(error))")
        }
        return nil
    }

    // MARK: What it runs

    private static func pluginComponent(_ path: String, detail: String) throws(CenterError) -> Component {
        let name = String(path.split(separator: "/").last ?? "")
        guard Component.isName(name) else {
            throw CenterError(
                "\(path): a plugin has the name of its file, so that may have letters, digits, - and _ only"
            )
        }
        var component = try Component(ComponentSpecification(name: name, version: version, path: path))
        guard component.type == "exec" else { throw isArchive(path) }
        component.detail = detail
        return component
    }

    private static func isArchive(_ path: String) -> CenterError {
        CenterError("\(path) is an archive: --plugin takes the program in it, and an archive goes to serve --component")
    }

    private static func besideUs(_ name: String) -> String {
        let own = linkTarget("/proc/self/exe") ?? ""
        return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/" + name
    }

    private static func absolute(_ path: String, what: String) throws(CenterError) -> String {
        guard let result = Folder.absolute(path) else { throw CenterError("\(what) \(path): \(Errno.current)") }
        _ = try Folder.size(result)
        guard unsafe access(result, X_OK) == 0 else {
            throw CenterError("\(what) \(path): \(Errno.current); chmod +x it")
        }
        return result
    }
}
