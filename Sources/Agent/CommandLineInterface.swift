// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Glibc
import Logging
import Syscalls

/// The command `elkeid-agent`.
public struct CommandLineInterface {
    static let defaultConfiguration = "/etc/elkeid/agent.conf"
    /// sysexits(3) EX_CONFIG: the configuration cannot be used and restarting will not help.
    static let configurationError: Int32 = 78
    static let usageError: Int32 = 2

    private let version: String

    public init(version: String) { self.version = version }

    static let help = """
        usage: elkeid-agent [--config FILE]
               elkeid-agent --check-config [--config FILE]
               elkeid-agent --version | --help

        Starts the plugins that the server's configuration names, and forwards their records to it.
        Runs in the foreground; logs to <log_dir>/elkeid-agent.log, and to stderr when that is a terminal.

          --config FILE    the configuration (default \(defaultConfiguration))
          --check-config   read the configuration, print what is wrong with it and what would be used, and end:
                           0 when it is faultless, 78 when not
          --version        print the version and end
          --help           print this and end

        SIGTERM and SIGINT stop it in order: plugins first, then what is queued; a second one at once.

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
            case "--help", "-h": return print(Self.help, terminator: "")
            default: return usage("unknown argument \(argument)")
            }
        }
        let loaded = load(path)
        if checks { return check(loaded) }
        start(loaded)
    }

    private func usage(_ problem: String) {
        printError("elkeid-agent: \(problem)\n\(Self.help)")
        exit(Self.usageError)
    }

    // MARK: Configuration

    private func load(_ path: String) -> LoadResult {
        let absolute = path.hasPrefix("/") ? path : "\(currentDirectory())/\(path)"
        var environment: [String: String] = [:]
        for entry in processEnvironment() {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            environment[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        let folder = absolute.lastIndex(of: "/").map { String(absolute[..<$0]) } ?? ""
        let specifiedPath = "\(folder)/specified_env"
        let specified = (try? FileDescriptor.readFile(specifiedPath)).map {
            SpecifiedEnvironment.parse(text: $0, file: specifiedPath)
        }
        do throws(Errno) {
            let text = try FileDescriptor.readFile(absolute)
            let parsed = ConfigurationFile.parse(text: text, file: absolute)
            return AgentConfiguration.load(from: parsed, environment: environment, specifiedEnv: specified)
        } catch {
            printError("\(absolute): \(error); put the configuration there, or name another with --config")
            exit(Self.configurationError)
        }
    }

    private func check(_ loaded: LoadResult) {
        for diagnostic in loaded.diagnostics { printError("\(diagnostic)") }
        if loaded.diagnostics.hasErrors(strict: true) || !loaded.usable { exit(Self.configurationError) }
        print(loaded.configuration.render(), terminator: "")
    }

    // MARK: Running

    private func start(_ loaded: LoadResult) {
        let configuration = loaded.configuration
        for diagnostic in loaded.diagnostics { printError("\(diagnostic)") }
        guard loaded.usable else { exit(Self.configurationError) }
        do throws(Errno) {
            try makeDirectory(configuration.agent.workDirectory)
            try makeDirectory(configuration.agent.logDirectory)
            try makeDirectory(configuration.pluginDirectory)
            let lock = try lockWorkDirectory(configuration.agent.workDirectory)
            let sink = try LogSink(
                path: "\(configuration.agent.logDirectory)/elkeid-agent.log",
                alsoStandardError: isatty(2) == 1
            )
            let log = Logger(label: "elkeid-agent") { _ in
                AgentLogHandler(sink: sink, level: Logger.Level(rawValue: "\(configuration.agent.logLevel)") ?? .info)
            }
            for diagnostic in loaded.diagnostics { log.warning("\(diagnostic)") }
            let agent = try Agent(configuration: configuration, version: version, log: log)
            try agent.run()
            try lock.close()
        } catch {
            printError("elkeid-agent: \(error)")
            exit(1)
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
    private func lockWorkDirectory(_ path: String) throws(Errno) -> FileDescriptor {
        let lock = try FileDescriptor.open("\(path)/agent.lock", .readWrite)
        if flock(lock.rawValue, LOCK_EX | LOCK_NB) != 0 {
            printError("elkeid-agent: another agent runs with work_dir \(path)")
            exit(1)
        }
        return lock
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
