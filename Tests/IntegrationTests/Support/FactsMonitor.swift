// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// A running Tests/Interop/facts/monitor.py: it samples processes and the host, for comparison with heartbeats.
final class FactsMonitor {
    struct Target: Encodable {
        var pid: Int32
        var folder: String
        /// Folders of that name are not counted.
        var without: String?
    }

    let folder: String
    private let process: ChildProcess
    private let input: CInt
    private var targets: [String: Target] = [:]

    init(in folder: String) throws {
        self.folder = folder
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        // The monitor ends when its input does.
        let ends = try ChildProcess.inputPipe()
        input = ends.writing
        defer { close(ends.reading) }
        process = try ChildProcess(
            [TestEnvironment.python(), Repository.facts + "/monitor.py", folder],
            .init(input: ends.reading, errors: folder + "/monitor.err")
        )
    }

    /// Begins to watch a process, and waits for its first sample.
    func watch(_ name: String, _ target: Target) throws {
        targets[name] = target
        try JSONEncoder().encode(targets).write(to: URL(filePath: folder + "/targets.json"), options: .atomic)
        try eventually("a sample of \(name)", state: tail(of: folder + "/monitor.err")) {
            guard process.isRunning else { throw Failure("the monitor ended\n" + tail(of: folder + "/monitor.err")) }
            return text(of: folder + "/samples.jsonl").contains("\"\(name)\": {\"cpu\"").asAnswer
        }
    }

    func end() {
        process.end()
        close(input)
    }
}
