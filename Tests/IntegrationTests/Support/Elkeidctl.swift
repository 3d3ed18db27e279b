// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// The command `elkeidctl`, for one configuration.
struct Elkeidctl {
    struct Answer: CustomStringConvertible {
        let exit: ChildProcess.Exit
        let output: String
        let errors: String

        var lines: [String] { output.split(separator: "\n").map(String.init) }
        /// The one JSON object that it printed.
        var json: JSON { JSON(line: Data(output.utf8)) ?? JSON(nil) }
        var description: String { "\(exit): \(output.suffix(4000))\(errors.suffix(1000))" }
    }

    /// agent.conf.
    let configuration: String
    /// Dates are the same everywhere.
    var environment = TestEnvironment.withoutProxies + ["TZ=UTC"]

    static func program() throws -> String {
        let path = try URL(filePath: TestEnvironment.agent()).deletingLastPathComponent().appending(path: "elkeidctl")
            .path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Failure("\(path) is not there; run the tests with `bash build.sh test`")
        }
        return path
    }

    /// Runs it to its end.
    ///
    /// - Parameter launcher: a program and arguments that the command line is appended to.
    func run(_ arguments: [String], launcher: [String] = [], seconds: Double = 30) throws -> Answer {
        let running = try start(arguments, launcher: launcher)
        defer { running.end() }
        return try running.waitForEnd(seconds: seconds)
    }

    func run(_ arguments: String...) throws -> Answer { try run(arguments) }

    /// Runs another command line in its environment.
    func run(command: [String]) throws -> Answer {
        let running = try Running(command, environment)
        defer { running.end() }
        return try running.waitForEnd()
    }

    func start(_ arguments: [String], launcher: [String] = []) throws -> Running {
        try Running(launcher + [Self.program(), "--config", configuration] + arguments, environment)
    }

    /// It goes on until it is told to stop.
    final class Running {
        private let folder: TemporaryFolder
        private let process: ChildProcess

        fileprivate init(_ command: [String], _ environment: [String]) throws {
            folder = try TemporaryFolder()
            process = try ChildProcess(
                command,
                .init(output: folder.path + "/out", errors: folder.path + "/err", environment: environment)
            )
        }

        var output: String { text(of: folder.path + "/out") }
        var errors: String { text(of: folder.path + "/err") }
        /// Those that are complete.
        var lines: [String] {
            let all = output
            guard let end = all.lastIndex(of: "\n") else { return [] }
            return all[..<end].split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        }

        func waitForEnd(seconds: Double = 30) throws -> Answer {
            let exit = try process.waitForExit(seconds: seconds, state: output + errors)
            return Answer(exit: exit, output: output, errors: errors)
        }

        func end() {
            process.end()
            folder.remove()
        }
    }
}

extension Scenario {
    var configurationPath: String { folder.path + "/agent.conf" }
    /// The control tool of the agent in this folder, which need not run.
    var elkeidctl: Elkeidctl { Elkeidctl(configuration: configurationPath) }

    /// Writes the configuration of an agent, without starting one.
    func configure(
        _ settings: Settings = [:],
        endpoints: [String] = [],
        certificates: ClientCertificates? = nil
    ) throws {
        let configuration = AgentRun.configuration(
            in: folder.path,
            endpoints: endpoints,
            certificates: try certificates ?? ClientCertificates(.ordinary),
            settings: settings
        )
        try write(configuration, to: configurationPath)
    }

    /// The client's files as copies of its own, which a test may change.
    func copy(_ certificates: ClientCertificates) throws -> ClientCertificates {
        let place = folder.path + "/certificates"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        var copies = certificates
        for path in [\ClientCertificates.authority, \.certificate, \.key] {
            let copy = place + "/" + URL(filePath: copies[keyPath: path]).lastPathComponent
            try write(text(of: copies[keyPath: path]), to: copy)
            guard unsafe chmod(copy, 0o600) == 0 else { throw Failure("\(copy): chmod") }
            copies[keyPath: path] = copy
        }
        return copies
    }
}

extension JSON {
    /// The members of a list.
    func list(_ key: String) -> [JSON] { (object[key] as? [Any] ?? []).map { JSON($0) } }
}

/// The permissions of a file.
func mode(of path: String) -> Int? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return (attributes?[.posixPermissions] as? NSNumber)?.intValue
}
