// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Syscalls

/// Where the configuration comes from: the file that was named, or the last one that could be read.
///
/// A mistake in the file must not take a host dark: the agent then runs with the copy that it kept in `work_dir` when it
/// last started.
public struct ConfigurationSource: Sendable {
    public static let copyName = "agent.conf.last-good"

    /// Absolute.
    public let path: String
    public var environment: [String: String]

    /// - Parameter environment: of the process, "NAME=value" each.
    public init(path: String, currentDirectory: String, environment: [String]) {
        self.path = path.hasPrefix("/") ? path : "\(currentDirectory)/\(path)"
        self.environment = environmentVariables(environment)
    }

    /// The folder of the file.
    public var folder: String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "" }

    public struct Loaded: Sendable {
        public var result: LoadResult
        /// The text to keep as the last good copy, when it came from the file itself.
        public var text: [UInt8]?
        /// Why the last good copy is used instead of the file.
        public var fallback: String?
    }

    /// What `elkeidctl set` writes, beside the file.
    public var specifiedEnvironment: String { "\(folder)/specified_env" }

    /// A service manager has read `specified_env` into the environment when the process started. What it says changes, so
    /// that the environment is not to count before it.
    public mutating func preferSpecifiedEnvironment() {
        guard let text = try? FileDescriptor.readFile(specifiedEnvironment) else { return }
        let specified = SpecifiedEnvironment.parse(text: text, file: specifiedEnvironment)
        for (name, value) in specified.values where environment[name] == value.text { environment[name] = nil }
    }

    /// Reads the file alone, as `--check-config` does.
    public func loadFile() throws(Errno) -> Loaded {
        let text = try FileDescriptor.readFile(path)
        let parsed = ConfigurationFile.parse(text: text, file: path)
        return Loaded(result: interpret(parsed), text: parsed.usable ? text : nil)
    }

    /// Reads the file, or what stands in for it. Not usable when neither can be used.
    public func load() throws(Errno) -> Loaded {
        let loaded: Loaded
        do throws(Errno) {
            loaded = try loadFile()
            if loaded.result.usable { return loaded }
        } catch {
            guard let copy = lastGood(workDirectories: [AgentConfiguration.Defaults.workDirectory]) else { throw error }
            return Loaded(result: copy.result, fallback: "\(path): \(error); \(copy.path) is used instead")
        }
        guard let copy = lastGood(workDirectories: workDirectories()) else { return loaded }
        return Loaded(result: copy.result, fallback: "\(path) cannot be parsed; \(copy.path) is used instead")
    }

    private func interpret(_ parsed: ParseResult) -> LoadResult {
        let specified = "\(parsed.file.folder)/specified_env"
        // Most hosts have no such file, and one that cannot be read is like none.
        let text = try? FileDescriptor.readFile(specified)
        return AgentConfiguration.load(
            from: parsed,
            environment: environment,
            specifiedEnv: text.map { SpecifiedEnvironment.parse(text: $0, file: specified) }
        )
    }

    /// The work_dir that the broken file names, if that line can be made out, and the default one.
    private func workDirectories() -> [String] {
        guard let text = try? FileDescriptor.readFile(path) else { return [] }
        let file = ConfigurationFile.parse(text: text, file: path).file
        let named = file.sections.filter { $0.kind == "agent" }.flatMap(\.entries).last { $0.key == "work_dir" }?.value
        let absolute = named.map { $0.hasPrefix("/") ? $0 : "\(file.folder)/\($0)" }
        return (absolute.map { [$0] } ?? []) + [AgentConfiguration.Defaults.workDirectory]
    }

    private func lastGood(workDirectories: [String]) -> (result: LoadResult, path: String)? {
        for directory in workDirectories {
            let copy = "\(directory)/\(Self.copyName)"
            guard let text = try? FileDescriptor.readFile(copy) else { continue }
            let result = interpret(ConfigurationFile.parse(text: text, file: copy, folder: folder))
            if result.usable { return (result, copy) }
        }
        return nil
    }

    /// Keeps the text for a start at which the file cannot be used. Written aside and renamed, so that a crash leaves
    /// the old copy or the new one.
    public static func keep(_ text: [UInt8], in workDirectory: String) throws(Errno) {
        let copy = "\(workDirectory)/\(copyName)"
        if let old = try? FileDescriptor.readFile(copy), old == text { return }
        let file = try FileDescriptor.open("\(copy).new", .truncate)
        unsafe try file.writeAll(text.span.bytes)
        try file.close()
        try FileDescriptor.rename("\(copy).new", to: copy)
    }
}
