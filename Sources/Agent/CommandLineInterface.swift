// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Components
import Configuration
import DiskWorker
import Glibc
import Logging
import Spool
import Syscalls
import Upgrade

/// The command `elkeid-agent`.
public struct CommandLineInterface {
    static let defaultConfiguration = "/etc/elkeid/agent.conf"
    /// sysexits(3) EX_CONFIG: the configuration cannot be used and restarting will not help.
    static let configurationError: Int32 = 78
    static let usageError: Int32 = 2
    /// Upstream's.
    static let pidFile = "/var/run/elkeid-agent.pid"

    private let version: String

    public init(version: String) { self.version = version }

    static let help = """
        usage: elkeid-agent [--config FILE]
               elkeid-agent --check-config [--config FILE]
               elkeid-agent spool stat|verify|dump|repair DIR
               elkeid-agent --version | --help

        Starts the plugins that the server's configuration names, and forwards their records to it.
        Runs in the foreground; logs to <log_dir>/elkeid-agent.log, and to stderr when that is a terminal or the journal.

          --config FILE    the configuration (default \(defaultConfiguration))
          --check-config   read the configuration, print what is wrong with it and what would be used, and end:
                           0 when it is faultless, 78 when not
          spool            look at the records that wait in work_dir/spool; "spool --help" has more
          --version        print the version and end
          --help           print this and end

        SIGTERM and SIGINT stop it in order: plugins first, then what is queued; a second one at once. SIGHUP reads
        the configuration again, and keeps the old one if the new one is not faultless. SIGUSR1 writes the agent's
        state to the log, SIGUSR2 gives free memory back to the kernel.

        """

    /// Runs the command; does not return when it ends with a code other than 0.
    public func run(_ arguments: [String]) {
        var path = Self.defaultConfiguration
        var checks = false
        var rest = arguments.dropFirst()
        while let argument = rest.popFirst() {
            switch argument {
            case "--config":
                guard let value = rest.popFirst() else { return usage("--config needs a file") }
                path = value
            case _ where argument.hasPrefix("--config="): path = String(argument.dropFirst("--config=".count))
            case "--check-config": checks = true
            case "--version": return print("elkeid-agent \(version)")
            case DiskWorker.argument:
                let spool = SpoolService()
                DiskWorker.serve(services: [StoreService.name: StoreService.answer, SpoolService.name: spool.answer])
            case Installer.argument: Installer.run()
            case UpgradeGuard.argument: UpgradeGuard.run(Array(rest))
            case "spool":
                let command = SpoolCommand(print: { print($0, terminator: "") }, printError: printError)
                exit(command.run(Array(rest)))
            case "--help", "-h": return print(Self.help, terminator: "")
            default: return usage("unknown argument \(argument)")
            }
        }
        let source = ConfigurationSource(
            path: path,
            currentDirectory: currentDirectory(),
            environment: processEnvironment()
        )
        if checks { return check(source) }
        start(source)
    }

    private func usage(_ problem: String) {
        printError("elkeid-agent: \(problem)\n\(Self.help)")
        exit(Self.usageError)
    }

    // MARK: Configuration

    private func load(_ source: ConfigurationSource, fileOnly: Bool) -> ConfigurationSource.Loaded {
        do throws(Errno) {
            return try fileOnly ? source.loadFile() : source.load()
        } catch {
            printError("\(source.path): \(error); put the configuration there, or name another with --config")
            exit(Self.configurationError)
        }
    }

    private func check(_ source: ConfigurationSource) {
        let loaded = load(source, fileOnly: true).result
        for diagnostic in loaded.diagnostics { printError("\(diagnostic)") }
        if loaded.diagnostics.hasErrors(strict: true) || !loaded.usable { exit(Self.configurationError) }
        print(loaded.configuration.render(), terminator: "")
    }

    // MARK: Running

    private func start(_ source: ConfigurationSource) {
        let loaded = load(source, fileOnly: false)
        var source = source
        source.preferSpecifiedEnvironment()
        let configuration = loaded.result.configuration
        let fallback = loaded.fallback.map { [$0] } ?? []
        for problem in fallback + loaded.result.diagnostics.map({ "\($0)" }) { printError(problem) }
        guard loaded.result.usable else { exit(Self.configurationError) }
        do throws(Errno) {
            try makeDirectory(configuration.agent.workDirectory)
            try makeDirectory(configuration.agent.logDirectory)
            try makeDirectory(configuration.pluginDirectory)
            let pidFile = try writePidFile(environmentVariables(processEnvironment()))
            let lock = try lockWorkDirectory(configuration)
            let (log, sink) = try makeLog(configuration.agent)
            for problem in fallback { log.error("\(problem)") }
            for diagnostic in loaded.result.diagnostics {
                log.log(level: diagnostic.severity == .error ? .error : .warning, "\(diagnostic)")
            }
            if let text = loaded.text {
                do throws(Errno) {
                    try ConfigurationSource.keep(text, in: configuration.agent.workDirectory)
                } catch {
                    log.warning("no copy of the configuration can be kept in work_dir: \(error)")
                }
            }
            let agent = try Agent(
                configuration: configuration,
                source: source,
                version: version,
                log: log,
                sink: sink
            )
            try agent.run()
            if let pidFile {
                unsafe _ = unlink(Self.pidFile)
                try pidFile.close()
            }
            try lock.close()
            // The process ends with everything in place: taking the agent apart would only cost time.
            withExtendedLifetime(agent) { exit(0) }
        } catch {
            printError("elkeid-agent: \(error)")
            exit(1)
        }
    }

    private func makeLog(_ agent: AgentConfiguration.Agent) throws(Errno) -> (Logger, LogSink) {
        let path = "\(agent.logDirectory)/elkeid-agent.log"
        let level = Logger.Level(rawValue: "\(agent.logLevel)") ?? .info
        do throws(Errno) {
            let sink = try LogSink(
                path: path,
                level: level,
                standardError: .current(environmentVariables(processEnvironment()))
            )
            return (Logger(label: "elkeid-agent") { _ in AgentLogHandler(sink: sink) }, sink)
        } catch {
            printError("elkeid-agent: \(path) cannot be written: \(error)")
            throw error
        }
    }

    private func makeDirectory(_ path: String) throws(Errno) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if unsafe mkdir(made, 0o700) != 0 && errno != EEXIST {
                let error = Errno.current
                printError("elkeid-agent: \(made) cannot be made: \(error)")
                throw error
            }
        }
    }

    /// One agent for one work_dir: a second one says so and ends.
    private func lockWorkDirectory(_ configuration: AgentConfiguration) throws(Errno) -> FileDescriptor {
        let file = configuration.lockFile
        let lock = try FileDescriptor.open(file, .readWrite)
        guard try lock.tryOwn() else {
            let holder = try? FileDescriptor.lockHolder(file)
            printError(
                "elkeid-agent: another agent runs with work_dir \(configuration.agent.workDirectory)"
                    + (holder.map { ", pid \($0)" } ?? "")
            )
            exit(1)
        }
        return lock
    }

    /// Under sysvinit the pid is where others look for it. The lock says whether it still holds.
    private func writePidFile(_ environment: [String: String]) throws(Errno) -> FileDescriptor? {
        guard environment["service_type"] == "sysvinit" else { return nil }
        let path = Self.pidFile
        do throws(Errno) {
            let file = try FileDescriptor.open(path, .readWrite, permissions: 0o644)
            guard try file.tryOwn() else {
                printError("elkeid-agent: another agent runs, which \(path) is of")
                // As upstream's: whoever started this one has what it wanted.
                exit(0)
            }
            try file.truncate(to: 0)
            unsafe try file.writeAll(Array("\(getpid())\n".utf8).span.bytes)
            return file
        } catch {
            printError("elkeid-agent: \(path) cannot be written: \(error)")
            throw error
        }
    }

    private func currentDirectory() -> String {
        guard let path = unsafe getcwd(nil, 0) else { return "." }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }

    private func printError(_ text: String) {
        unsafe Array((text.hasSuffix("\n") ? text : text + "\n").utf8).withUnsafeBytes { bytes in
            _ = unsafe write(2, bytes.baseAddress, bytes.count)
        }
    }
}
