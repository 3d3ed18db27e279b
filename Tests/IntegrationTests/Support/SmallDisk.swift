// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A file system of its own on a folder, as large as it is said to be: it can be full.
struct SmallDisk {
    private let path: String

    /// - Parameter size: for example 1m.
    init(at path: String, size: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run(["mount", "-t", "tmpfs", "-o", "size=\(size),mode=700", "tmpfs", path])
    }

    func resize(_ size: String) throws { try Self.run(["mount", "-o", "remount,size=\(size)", path]) }

    /// Whoever still has files open there keeps them.
    func unmount() { try? Self.run(["umount", "-l", path]) }

    private static func run(_ command: [String]) throws {
        _ = try ChildProcess.output(of: ["/usr/bin/env"] + command, seconds: 10)
    }

    /// Root may not mount anything in many containers.
    static let isPossible: Bool = {
        guard TestEnvironment.isComplete, let folder = try? TemporaryFolder() else { return false }
        defer { folder.remove() }
        guard let disk = try? SmallDisk(at: folder.path, size: "1m") else { return false }
        disk.unmount()
        return true
    }()
}
