// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A running interop-server (Tests/Interop/README.md).
final class InteropServer {
    private let process: ChildProcess
    private let output: OutputLines
    private let outputPath: String
    private let errorPath: String
    private let input: CInt
    /// host:port
    let address: String

    init(in folder: String, certificates: CertificateSet, arguments: [String]) throws {
        outputPath = folder + "/server.out"
        errorPath = folder + "/server.err"
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Failure("no pipe") }
        // The server ends when its input does, so nobody else may hold that open.
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        input = ends[1]
        signal(SIGPIPE, SIG_IGN)
        let files = try ["ca": "ca.crt", "cert": "server.crt", "key": "server.key"].flatMap {
            ["-" + $0.key, try certificates.file($0.value)]
        }
        defer { close(ends[0]) }
        process = try ChildProcess(
            [TestEnvironment.server(), "-listen", "127.0.0.1:0"] + files + arguments,
            .init(input: ends[0], output: outputPath, errors: errorPath)
        )
        output = OutputLines(path: outputPath)
        let (process, output, errorPath) = (process, output, errorPath)
        do {
            address = try eventually("the server to listen", state: tail(of: errorPath)) {
                guard process.isRunning else { throw Failure("the server ended\n" + tail(of: errorPath)) }
                return output.events().first { $0["event"].string == "listening" }?["address"].string
            }
        } catch {
            process.end()
            throw error
        }
    }

    func end() {
        process.end()
        close(input)
    }

    // MARK: Events

    /// All events of that name so far.
    func events(_ name: String) -> [JSON] { output.events().filter { $0["event"].string == name } }

    /// Waits until there are `count` events of that name, and gives all there are then.
    @discardableResult
    func wait(for name: String, count: Int = 1, seconds: Double = 20) throws -> [JSON] {
        try eventually("\(count) \(name) of the server", seconds: seconds, state: self.state) {
            let all = events(name)
            return all.count >= count ? all : nil
        }
    }

    /// The last of what the server said.
    var state: String { tail(of: outputPath) + "\n" + tail(of: errorPath) }

    // MARK: Commands

    /// Sends a command and waits for its answer.
    @discardableResult
    func command(_ name: String, _ fields: [String: Any] = [:]) throws -> JSON {
        let before = answers
        try post(name, fields)
        let answer = try eventually("the answer to \(name)", state: self.state) {
            let all = output.events().filter(isAnswer)
            return all.count > before ? all.last : nil
        }
        if let error = answer["error"].string { throw Failure("\(name): \(error)") }
        return answer
    }

    /// Sends a command; the answer comes when it comes.
    func post(_ name: String, _ fields: [String: Any] = [:]) throws {
        let line = try JSON.line(fields.merging(["cmd": name]) { $1 }) + "\n"
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(input, $0.baseAddress, $0.count) }
            guard count > 0 else { throw Failure("the server does not take commands\n" + state) }
            rest = rest.dropFirst(count)
        }
    }

    private var answers: Int { output.events().count(where: isAnswer) }
    private func isAnswer(_ event: JSON) -> Bool {
        ["done", "command_failed", "stats"].contains(event["event"].string)
    }

    func stats() throws -> ServerStats {
        try JSONDecoder().decode(ServerStats.self, from: Data(try JSON.line(command("stats").object).utf8))
    }
}

/// A file of JSON lines that another process appends to.
private final class OutputLines {
    private let path: String
    private var file: FileHandle?
    private var unfinished = Data()
    private var all: [JSON] = []

    init(path: String) { self.path = path }

    /// All whole lines so far; the last may be in progress.
    func events() -> [JSON] {
        file = file ?? FileHandle(forReadingAtPath: path)
        guard let added = try? file?.readToEnd(), !added.isEmpty else { return all }
        unfinished += added
        guard let end = unfinished.lastIndex(of: 0x0a) else { return all }
        all += unfinished[..<end].split(separator: 0x0a).compactMap { JSON(line: $0) }
        unfinished = Data(unfinished[(end + 1)...])
        return all
    }
}

/// What the server has counted, over all streams.
struct ServerStats: Decodable {
    struct Lane: Decodable, Equatable {
        var count: Int
        var unique: Int
        var missing: Int
        var duplicates: Int
        var reordered: Int
        var invalid: Int

        /// Every one of `count` records, once, in order.
        static func complete(_ count: Int) -> Lane {
            Lane(count: count, unique: count, missing: 0, duplicates: 0, reordered: 0, invalid: 0)
        }
    }

    var records: Int
    var malformed: Int
    var heartbeats: Int
    var pluginHeartbeats: Int
    /// Records by data type.
    var types: [String: Int]
    /// What the agent itself reported as errors.
    var errorReports: Int { types["1010"] ?? 0 }
    var encoding: String
    var streams: Int
    var lanes: [String: Lane]
    var compressedMessages: Int
    var largestMessage: Int

    enum CodingKeys: String, CodingKey {
        case records, malformed, heartbeats, types, encoding, streams, lanes
        case pluginHeartbeats = "plugin_heartbeats"
        case compressedMessages = "compressed_messages"
        case largestMessage = "largest_message"
    }
}
