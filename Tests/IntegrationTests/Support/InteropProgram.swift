// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A running program of Tests/Interop: commands go in, events come out, as its README describes them.
class InteropProgram {
    private let process: ChildProcess
    private let output: OutputLines
    private let outputPath: String
    private let errorPath: String
    private let input: CInt
    /// host:port
    let address: String
    var port: Int { Int(address.split(separator: ":").last ?? "") ?? 0 }

    /// - Parameter name: for its files in `folder`.
    init(_ arguments: [String], name: String, in folder: String) throws {
        outputPath = folder + "/\(name).out"
        errorPath = folder + "/\(name).err"
        // The program ends when its input does.
        let ends = try ChildProcess.inputPipe()
        input = ends.writing
        signal(SIGPIPE, SIG_IGN)
        defer { close(ends.reading) }
        process = try ChildProcess(arguments, .init(input: ends.reading, output: outputPath, errors: errorPath))
        output = OutputLines(path: outputPath)
        let (process, output, errorPath) = (process, output, errorPath)
        do {
            address = try eventually("the \(name) to listen", state: tail(of: errorPath)) {
                guard process.isRunning else { throw Failure("the \(name) ended\n" + tail(of: errorPath)) }
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

    // MARK: What may happen to a host

    /// Ends it as a crash does: the kernel closes its connections.
    func crash() { process.end() }
    /// From now on it does nothing; its kernel still takes what fits into the sockets' buffers.
    func suspend() { process.send(SIGSTOP) }
    func resume() { process.send(SIGCONT) }

    // MARK: Events

    /// All events of that name so far.
    func events(_ name: String) -> [JSON] { output.events().filter { $0["event"].string == name } }

    /// Waits until there are `count` events of that name, and gives all there are then.
    @discardableResult
    func wait(for name: String, count: Int = 1, seconds: Double = 20) throws -> [JSON] {
        try eventually("\(count) \(name) of \(address)", seconds: seconds, state: self.state) {
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
            guard count > 0 else { throw Failure("it does not take commands\n" + state) }
            rest = rest.dropFirst(count)
        }
    }

    private var answers: Int { output.events().count(where: isAnswer) }
    private func isAnswer(_ event: JSON) -> Bool {
        ["done", "command_failed", "stats"].contains(event["event"].string)
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
