// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DiskWorker
import Logging
import Reactor
import Syscalls

/// Puts the log file aside when it has grown, in steps: the disk worker renames it, the sink opens a new one, and then
/// the worker compresses the old one and removes those that are too many or too old.
final class LogRotation {
    struct Policy: Equatable {
        /// Bytes at which the file is put aside.
        var maximumSize: Int
        /// How many are kept, and how long.
        var files: Int
        var age: TimeSpan
    }

    private let sink: LogSink
    private let disk: DiskWorker
    private let log: Logger
    var policy: Policy { didSet { sink.maximumSize = policy.maximumSize } }
    private var isRotating = false

    init(sink: LogSink, disk: DiskWorker, policy: Policy, log: Logger) {
        self.sink = sink
        self.disk = disk
        self.policy = policy
        self.log = log
    }

    /// Takes up what an earlier run left uncompressed, or too old.
    func start() {
        sink.maximumSize = policy.maximumSize
        prune()
    }

    /// The file has reached its size.
    func grown() {
        guard !isRotating, let path = sink.path else { return }
        isRotating = true
        disk.rotate(path) { [unowned self] result in
            self.isRotating = false
            switch result {
            case .success(let aside):
                self.reopen()
                self.compress(aside)
            case .failure(let error):
                // A worker that died after renaming it, or an operator, was faster.
                if error.errno == .notFound { return self.reopenAndPrune() }
                self.log.warning("the log cannot be put aside: \(error); it goes on growing")
                // Tried again after as much again, not at every line.
                self.sink.deferRotation()
            }
        }
    }

    private func reopen() {
        do throws(Errno) {
            try sink.reopen()
        } catch {
            log.warning("a new log file cannot be opened: \(error); lines go to the one put aside")
        }
    }

    private func reopenAndPrune() {
        reopen()
        prune()
    }

    private func compress(_ path: String) {
        disk.compress(path) { [unowned self] result in
            if case .failure(let error) = result { self.log.warning("\(path) cannot be compressed: \(error)") }
            self.prune()
        }
    }

    private func prune() {
        guard let path = sink.path, let slash = path.lastIndex(of: "/") else { return }
        let name = path[path.index(after: slash)...]
        let stem = name.hasSuffix(".log") ? name.dropLast(4) : name
        disk.prune(String(path[..<slash]), stem: String(stem), keep: policy.files, maxAge: policy.age) {
            [unowned self] result in
            if case .failure(let error) = result { self.log.warning("old logs cannot be removed: \(error)") }
        }
    }
}
