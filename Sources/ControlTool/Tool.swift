// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Control
import Glibc
import JSON
import Syscalls

/// The command `elkeidctl`.
public final class Tool {
    static let defaultConfiguration = "\(AgentConfiguration.Defaults.folder)/agent.conf"

    let version: String
    let output: Terminal
    let complaints: Terminal
    let style: Style
    private(set) var source: ConfigurationSource

    public init(version: String) {
        self.version = version
        output = Terminal()
        complaints = Terminal(descriptor: 2)
        let environment = processEnvironment()
        source = ConfigurationSource(path: Self.defaultConfiguration, currentDirectory: "/", environment: environment)
        style = Style(isColoured: Style.isWanted(environmentVariables(environment), isTerminal: output.isInteractive))
    }

    /// Runs the command.
    ///
    /// - Parameter arguments: without the program's name.
    /// - Returns: the exit code.
    public func run(_ arguments: [String]) -> Int32 {
        do throws(ToolError) {
            var rest = try takeGlobalOptions(arguments)
            guard let name = rest.popFirst() else { return try help(nil) }
            if name == "--help" || name == "-h" { return try help(nil) }
            if name == "--version" { return printVersion() }
            guard let command = CommandTable.named(name) else {
                throw ToolError("there is no command \"\(name)\"; \"elkeidctl help\" lists them")
            }
            let invocation = try Invocation(command, rest)
            if invocation.wantsHelp {
                output.write(command.help)
                return 0
            }
            return try command.run(self, invocation)
        } catch {
            complaints.line("Error: \(error)")
            return error.exitCode
        }
    }

    private func takeGlobalOptions(_ arguments: [String]) throws(ToolError) -> ArraySlice<String> {
        var rest = arguments[...]
        while let first = rest.first, first == "--config" || first.hasPrefix("--config=") {
            rest.removeFirst()
            let inline = first == "--config" ? rest.popFirst() : String(first.dropFirst("--config=".count))
            guard let path = inline, !path.isEmpty else { throw ToolError("--config needs a file") }
            source = ConfigurationSource(
                path: path,
                currentDirectory: currentDirectory() ?? "/",
                environment: processEnvironment()
            )
        }
        return rest
    }

    func help(_ name: String?) throws(ToolError) -> Int32 {
        guard let name else {
            output.write(CommandTable.help)
            return 0
        }
        guard let command = CommandTable.named(name) else { throw ToolError("there is no command \"\(name)\"") }
        output.write(command.help)
        return 0
    }

    func printVersion() -> Int32 {
        output.line("elkeidctl \(version)")
        if let status = try? agentStatus() { output.line("elkeid-agent \(status["version"]?.string ?? "?")") }
        return 0
    }

    func completion(_ invocation: Invocation) throws(ToolError) -> Int32 {
        switch invocation.operand {
        case "bash": output.write(Completion.bash)
        case "zsh": output.write(Completion.zsh)
        case "fish": output.write(Completion.fish)
        case let other: throw ToolError("completion for \(other ?? "which shell"): bash, zsh or fish")
        }
        return 0
    }

    // MARK: The agent

    /// As the agent would load it; what cannot be used is replaced by its default.
    lazy var configuration: AgentConfiguration = {
        (try? source.load())?.result.configuration ?? AgentConfiguration(folder: source.folder)
    }()

    func channel(milliseconds: Int = 5000) throws(ControlChannel.Failure) -> ControlChannel {
        try ControlChannel(path: configuration.agent.controlSocket, milliseconds: milliseconds)
    }

    func agentStatus(milliseconds: Int = 5000) throws(ControlChannel.Failure) -> JSONValue {
        var channel = try self.channel(milliseconds: milliseconds)
        return try channel.ask(ControlRequest("status"))
    }

    func ask(_ request: ControlRequest) throws(ToolError) -> JSONValue {
        do throws(ControlChannel.Failure) {
            var channel = try self.channel()
            return try channel.ask(request)
        } catch {
            throw failure(error)
        }
    }

    /// With what to do about it.
    func failure(_ failure: ControlChannel.Failure) -> ToolError {
        guard case .notRunning(let path, let error) = failure else { return ToolError("\(failure)") }
        if error.rawValue == EACCES || error == .notPermitted {
            return ToolError("\(path) is root's; run elkeidctl as root")
        }
        return ToolError(
            "\(failure); is it running? \"elkeidctl start\" starts it, \"elkeidctl doctor\" tells what is wrong"
        )
    }

    func setLogLevel(_ level: String?) throws(ToolError) -> Int32 {
        guard let level else {
            throw ToolError("log-level needs one: \(LogLevel.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        _ = try ask(ControlRequest("log_level", ["level": .string(level)]))
        return 0
    }

    func reconnect() throws(ToolError) -> Int32 {
        let state = try ask(ControlRequest("reconnect"))
        output.line(visible(state.string ?? ""))
        return 0
    }

    func reload() throws(ToolError) -> Int32 {
        _ = try ask(ControlRequest("reload"))
        output.line("\(source.path) is in effect")
        return 0
    }
}

func currentDirectory() -> String? {
    guard let path = unsafe getcwd(nil, 0) else { return nil }
    defer { unsafe free(path) }
    return unsafe String(cString: path)
}
