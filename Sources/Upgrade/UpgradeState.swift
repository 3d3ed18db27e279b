// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import JSON
public import Syscalls

/// How far an upgrade of the agent has come: what survives a kill and a reboot in the middle, in `state.json`.
public struct UpgradeState: Equatable, Sendable {
    /// What is being done. Each phase can be begun again from its start.
    public enum Phase: String, Sendable {
        /// The package is checked, and nothing else has happened.
        case prepared
        /// The package manager installs it.
        case installing
        /// The service is being restarted.
        case starting
        /// The new version has to show that it is good.
        case watching
        /// The previous version is being put back.
        case returning
        /// The service is being restarted with it.
        case restarting
        case succeeded
        /// The previous version runs again.
        case undone
    }

    public static let format: Int64 = 1

    public var phase = Phase.prepared
    public var from: String
    public var to: String
    /// Of the package, lower-case hexadecimal.
    public var sha256: String
    public var kind: PackageKind
    /// The original agent's, which cannot be asked how it is.
    public var isForeign: Bool
    /// Of the agent.
    public var configuration: String
    public var controlSocket: String
    public var logFile: String
    /// Seconds that the new version has.
    public var limit: Int64
    /// The old version had a connection when it was stopped; then the new one must have one too.
    public var wasConnected = false
    /// Where plugins write their errors, `<name>/<name>.stderr`.
    public var pluginDirectory = ""
    /// Plugins that ran then.
    public var plugins: [String] = []
    /// How often the phase was begun.
    public var attempts: Int64 = 0
    /// Why the new version is not good.
    public var reason = ""
    /// It ended before it had begun, and may be tried again.
    public var isPutOff = false
    /// What went wrong on the way back, or is left to be done by hand.
    public var complaint = ""
    /// Milliseconds from the order to restart until all plugins ran again.
    public var gap: Int64?

    public init(
        from: String,
        to: String,
        sha256: String,
        kind: PackageKind,
        isForeign: Bool,
        configuration: String,
        controlSocket: String,
        logFile: String,
        limit: Int64
    ) {
        self.from = from
        self.to = to
        self.sha256 = sha256.lowercased()
        self.kind = kind
        self.isForeign = isForeign
        self.configuration = configuration
        self.controlSocket = controlSocket
        self.logFile = logFile
        self.limit = limit
    }

    public var isFinal: Bool { phase == .succeeded || phase == .undone }

    public mutating func enter(_ phase: Phase) {
        self.phase = phase
        attempts = 0
    }

    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "format": .integer(Self.format), "phase": .string(phase.rawValue), "from": .string(from),
            "to": .string(to), "sha256": .string(sha256), "kind": .string(kind.rawValue),
            "foreign": .bool(isForeign), "configuration": .string(configuration),
            "control_socket": .string(controlSocket), "log_file": .string(logFile), "limit": .integer(limit),
            "plugin_directory": .string(pluginDirectory),
            "was_connected": .bool(wasConnected), "plugins": .strings(plugins), "put_off": .bool(isPutOff),
            "attempts": .integer(attempts), "reason": .string(reason), "complaint": .string(complaint),
        ]
        members["gap"] = gap.map { .integer($0) }
        return .object(members)
    }

    public init?(json: JSONValue) {
        guard json["format"]?.integer == Self.format,
            let phase = json["phase"]?.string.flatMap(Phase.init(rawValue:)),
            let from = json["from"]?.string, let to = json["to"]?.string, let sha256 = json["sha256"]?.string,
            let kind = json["kind"]?.string.flatMap(PackageKind.init(rawValue:)),
            let configuration = json["configuration"]?.string, let socket = json["control_socket"]?.string,
            let log = json["log_file"]?.string, let limit = json["limit"]?.integer
        else { return nil }
        self.init(
            from: from,
            to: to,
            sha256: sha256,
            kind: kind,
            isForeign: json["foreign"]?.bool == true,
            configuration: configuration,
            controlSocket: socket,
            logFile: log,
            limit: limit
        )
        self.phase = phase
        wasConnected = json["was_connected"]?.bool == true
        pluginDirectory = json["plugin_directory"]?.string ?? ""
        plugins = json["plugins"]?.strings ?? []
        isPutOff = json["put_off"]?.bool == true
        attempts = json["attempts"]?.integer ?? 0
        reason = json["reason"]?.string ?? ""
        complaint = json["complaint"]?.string ?? ""
        gap = json["gap"]?.integer
    }
}

/// Versions that are not tried again, in `bad.json`: what one package's checksum stands for stays what it is.
public struct BadVersions: Equatable, Sendable {
    public struct Entry: Equatable, Sendable {
        public var version: String
        public var sha256: String
        public var reason: String
        /// It is another agent's package: what `[upgrade] allow_foreign` would let in.
        public var isForeign: Bool
    }

    /// More than a server switches between.
    static let limit = 8

    public private(set) var entries: [Entry] = []

    public init() {}

    public mutating func mark(version: String, sha256: String, _ reason: String, isForeign: Bool = false) {
        let sha256 = sha256.lowercased()
        entries.removeAll { $0.version == version && $0.sha256 == sha256 }
        entries.append(Entry(version: version, sha256: sha256, reason: reason, isForeign: isForeign))
        if entries.count > Self.limit { entries.removeFirst() }
    }

    /// Why a version is not tried; nil when nothing is known against it.
    ///
    /// - Parameter allowsForeign: that it is another agent's does not count then.
    public func reason(version: String, sha256: String, allowsForeign: Bool) -> String? {
        let entry = entries.first { $0.version == version && $0.sha256 == sha256.lowercased() }
        return entry.flatMap { $0.isForeign && allowsForeign ? nil : $0.reason }
    }

    public var json: JSONValue {
        .array(
            entries.map {
                .object([
                    "version": .string($0.version), "sha256": .string($0.sha256), "reason": .string($0.reason),
                    "foreign": .bool($0.isForeign),
                ])
            }
        )
    }

    /// What makes no sense is left out.
    public init(json: JSONValue) {
        for item in json.array ?? [] {
            guard let version = item["version"]?.string, let sha256 = item["sha256"]?.string else { continue }
            mark(
                version: version,
                sha256: sha256,
                item["reason"]?.string ?? "",
                isForeign: item["foreign"]?.bool == true
            )
        }
    }
}

/// The folder of upgrades, `<work_dir>/upgrade`.
public struct UpgradeFolder: Equatable, Sendable {
    public let path: String

    public init(workDirectory: String) { path = "\(workDirectory)/upgrade" }
    public init(path: String) { self.path = path }

    /// A copy of the old version's program, which carries the upgrade out.
    public var guardProgram: String { "\(path)/guard" }
    public var stateFile: String { "\(path)/state.json" }
    public var badFile: String { "\(path)/bad.json" }
    /// Owned (`FileDescriptor.tryOwn`) by the guard as long as it lives.
    public var lockFile: String { "\(path)/lock" }
    /// The installed files of the old version.
    public var savedFiles: String { "\(path)/files" }
    /// What the package manager and the new version said, when that had to be taken back.
    public var failed: String { "\(path)/failed" }
    /// The package that is to be installed.
    public func newPackage(_ kind: PackageKind) -> String { "\(path)/new.\(kind.rawValue)" }
    /// The package of the version in place, kept to go back to it.
    public func package(_ version: String, _ kind: PackageKind) -> String { "\(path)/\(version).\(kind.rawValue)" }

    public var state: UpgradeState? {
        guard let bytes = try? FileDescriptor.readFile(stateFile), let json = try? JSONValue(parsing: bytes) else {
            return nil
        }
        return UpgradeState(json: json)
    }

    public func write(_ state: UpgradeState) throws(Errno) {
        try replaceFile(stateFile, state.json.encoded + [0x0a], permissions: 0o600)
    }

    public var bad: BadVersions {
        guard let bytes = try? FileDescriptor.readFile(badFile), let json = try? JSONValue(parsing: bytes) else {
            return BadVersions()
        }
        return BadVersions(json: json)
    }

    public func write(_ bad: BadVersions) throws(Errno) {
        try replaceFile(badFile, bad.json.encoded + [0x0a], permissions: 0o600)
    }

    /// Is somebody carrying an upgrade out?
    public var isGuarded: Bool { ((try? FileDescriptor.lockHolder(lockFile)) ?? nil) != nil }
}
