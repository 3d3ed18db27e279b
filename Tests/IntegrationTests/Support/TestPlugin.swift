// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A plugin that is in place, and what it reports in its folder.
struct TestPlugin {
    let name: String
    /// The plugin's folder.
    let directory: String
    let sha256: String
    var detail = ""

    /// An entry of the server's configuration.
    var configuration: [String: Any] {
        ["name": name, "type": "exec", "version": "1.0.0.0", "sha256": sha256, "detail": detail]
    }

    /// Installs interop-plugin-writer, to do what `settings` say.
    init(writer name: String, _ settings: [String: Any], in plugins: String) throws {
        self.name = name
        directory = plugins + "/" + name
        let program = directory + "/" + name
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try ChildProcess.withoutStarts {
            try FileManager.default.copyItem(atPath: TestEnvironment.pluginWriter(), toPath: program)
        }
        try write(try JSON.line(settings), to: directory + "/writer.json")
        sha256 = try Self.checksum(program)
    }

    /// Installs a shell script.
    init(script name: String, _ lines: String, in plugins: String) throws {
        self.name = name
        directory = plugins + "/" + name
        let program = directory + "/" + name
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try write("#!/bin/sh\n" + lines, to: program)
        sha256 = try Self.checksum(program)
    }

    /// Installs a program.
    init(program name: String, _ program: String, in plugins: String) throws {
        self.name = name
        directory = plugins + "/" + name
        let place = directory + "/" + name
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try ChildProcess.withoutStarts { try FileManager.default.copyItem(atPath: program, toPath: place) }
        sha256 = try Self.checksum(place)
    }

    private static func checksum(_ path: String) throws -> String {
        String(try ChildProcess.output(of: ["/usr/bin/env", "sha256sum", path]).prefix(64))
    }

    // MARK: What it says

    struct Summary: Decodable {
        var records: Int
        var untracked: Int
        var malformed: Int
        var lanes: [String: Int]
        var tasks: Int
        var seconds: Double
        var error: String?
        var done: Bool
        var ended: Bool
    }

    struct Launch: Decodable {
        var argv: [String]
        var cwd: String
        var env: [String]
        var descriptors: [String: String]
        var nonblocking: [String]
        var pid: Int32
        var ppid: Int32
        var pgid: Int32
        var umask: String
        var blockedSignals: String

        enum CodingKeys: String, CodingKey {
            case argv, cwd, env, descriptors, nonblocking, pid, ppid, pgid, umask
            case blockedSignals = "signals_blocked"
        }
    }

    var summary: Summary? { decoded(Summary.self, from: directory + "/writer-summary.json") }
    var launch: Launch? { decoded(Launch.self, from: directory + "/writer-launch.json") }
    func file(_ name: String) -> String { directory + "/" + name }

    /// Waits for it to have written its count.
    func waitUntilDone(seconds: Double = 30, state: @autoclosure () -> String) throws -> Summary {
        try eventually("\(name) to have written all", seconds: seconds, state: state()) {
            summary.flatMap { $0.done ? $0 : nil }
        }
    }

    func waitForLaunch(state: @autoclosure () -> String) throws -> Launch {
        try eventually("\(name) to be started", state: state()) { launch }
    }
}
