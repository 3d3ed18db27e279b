// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DiskWorker
import Logging
import Reactor

/// Sizes of folders for the heartbeats, walked seldom and by the disk worker; what is told is the last one found.
final class DirectorySizes {
    private struct Entry {
        var bytes: UInt64 = 0
        var walked: MonotonicTime?
        var isWalking = false
    }

    private let disk: DiskWorker
    private let log: Logger
    /// Between two walks of the same folder.
    var interval: TimeSpan
    private var entries: [String: Entry] = [:]

    init(disk: DiskWorker, interval: TimeSpan, log: Logger) {
        self.disk = disk
        self.interval = interval
        self.log = log
    }

    /// Bytes in the files below `path` at the last walk, 0 before the first; starts another one when it is time.
    ///
    /// - Parameter excluding: names of folders that are left out at every level.
    func size(of path: String, excluding: [String] = []) -> UInt64 {
        let now = MonotonicTime.now()
        var entry = entries[path] ?? Entry()
        defer { entries[path] = entry }
        guard !entry.isWalking, entry.walked.map({ now - $0 >= interval }) ?? true else { return entry.bytes }
        entry.isWalking = true
        disk.directorySize(path, excluding: excluding) { [unowned self] result in
            self.entries[path]?.isWalking = false
            self.entries[path]?.walked = MonotonicTime.now()
            switch result {
            case .success(let size): self.entries[path]?.bytes = size.bytes
            case .failure(let error): self.log.warning("the size of \(path) is not known: \(error)")
            }
        }
        return entry.bytes
    }
}
