// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Foundation
import Glibc
import Synchronization
import Syscalls
import TestSupport
import Testing

/// Folders and files that stand in for the kernel's.
final class StandIn: Sendable {
    let root: String
    /// Who writes to one that nobody reads waits for ever.
    private let records = Mutex<[Record]>([])

    init() throws {
        root = FileManager.default.temporaryDirectory.appendingPathComponent("cgroup-" + UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func directory(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: "\(root)/\(path)", withIntermediateDirectories: true)
    }

    func file(_ path: String, _ text: String) throws { try Data(text.utf8).write(to: URL(filePath: "\(root)/\(path)")) }

    /// A file that keeps what is written to it, each writing by itself.
    func record(_ path: String) throws -> Record {
        let record = try Record("\(root)/\(path)")
        records.withLock { $0.append(record) }
        return record
    }

    /// The group's files of version 2 that limits are written to.
    func recordsV2(_ path: String) throws -> [String: Record] {
        try directory(path)
        var records: [String: Record] = [:]
        for file in ["memory.high", "memory.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.procs"] {
            records[file] = try record("\(path)/\(file)")
        }
        return records
    }

    /// A process in version 2 only, at `path` of what is mounted here.
    func unified(_ path: String) -> CgroupTree {
        CgroupTree(membership: "0::\(path)\n", mounts: "31 23 0:28 / \(root) rw - cgroup2 cgroup2 rw,x\n")
    }

    /// A process in version 1 only: each controller's hierarchy is mounted at a folder of its name.
    func separate(_ path: String, _ controllers: [CgroupController]) -> CgroupTree {
        CgroupTree(
            membership: controllers.map { "4:\($0.rawValue):\(path)\n" }.joined(),
            mounts: controllers.map { "31 23 0:28 / \(root)/\($0.rawValue) rw - cgroup cgroup rw,\($0.rawValue)\n" }
                .joined()
        )
    }

    func exists(_ path: String) -> Bool { CgroupFiles.exists("\(root)/\(path)") }
}

/// A named pipe that is both written and read: what is written to a file like it is kept in order.
final class Record: Sendable {
    private let pipe: FileDescriptor

    init(_ path: String) throws {
        try #require(unsafe mkfifo(path, 0o600) == 0)
        pipe = try FileDescriptor.open(path, .readWrite)
        try pipe.setNonBlocking()
    }

    /// What was written since the last time.
    var text: String {
        var bytes: [UInt8] = []
        try? pipe.readChunk(appendingTo: &bytes, capacity: 4096)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Why something is absent.
func absence(_ tree: CgroupTree) -> String? {
    do throws(PluginGroups.Absence) {
        _ = try PluginGroups.take(tree)
        return nil
    } catch {
        return error.description
    }
}
