// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// What the processes of a cgroup may use together; nil: no limit.
public struct CgroupLimits: Equatable, Sendable {
    /// Bytes.
    public var memory: Int?
    /// Percent of one processor.
    public var cpuPercent: Int?
    public var processes: Int?

    public init(memory: Int? = nil, cpuPercent: Int? = nil, processes: Int? = nil) {
        self.memory = memory
        self.cpuPercent = cpuPercent
        self.processes = processes
    }

    /// Microseconds in which a share of the processor is used up.
    static let period = 100_000

    /// What is written to which file: in that order.
    func settings(
        _ controller: CgroupController,
        _ version: CgroupTree.Place.Version,
        isPlugin: Bool
    ) -> [(file: String, text: String)] {
        let quota = cpuPercent.map { $0 * Self.period / 100 }
        switch (controller, version) {
        case (.memory, .v2) where !isPlugin: return [("memory.max", memory.map(String.init) ?? "max")]
        case (.memory, .v2):
            // Shortly before the end the kernel takes back what it can. Not earlier: beyond memory.high a plugin that leaks is
            // slowed down rather than killed. At 31/32 of 200 MiB, and no swap, it crawled on for more than two minutes, of no
            // use to anybody; at 63/64 it is killed as soon as without (packaging/tests/cgroup-v2.sh).
            return [
                ("memory.high", memory.map { "\($0 / 64 * 63)" } ?? "max"),
                ("memory.max", memory.map(String.init) ?? "max"),
                ("memory.oom.group", "1"),
            ]
        case (.memory, .v1): return [("memory.limit_in_bytes", memory.map(String.init) ?? "-1")]
        case (.cpu, .v2): return [("cpu.max", "\(quota.map(String.init) ?? "max") \(Self.period)")]
        case (.cpu, .v1):
            return [("cpu.cfs_period_us", "\(Self.period)"), ("cpu.cfs_quota_us", quota.map(String.init) ?? "-1")]
        case (.pids, _): return [("pids.max", processes.map(String.init) ?? "max")]
        }
    }

    /// Is this controller needed for them?
    func needs(_ controller: CgroupController) -> Bool {
        switch controller {
        case .memory: memory != nil
        case .cpu: cpuPercent != nil
        case .pids: processes != nil
        }
    }

    /// Writes the limits of one controller.
    ///
    /// - Returns: what the kernel refused, of limits that are set.
    ///
    /// - Parameter isPlugin: whether all in it end together when memory is used up. In the service's cgroup, with the agent
    ///   among them, that would be the end of everything.
    public func apply(_ controller: CgroupController, at place: CgroupTree.Place, isPlugin: Bool) -> [String] {
        var problems: [String] = []
        for (file, text) in settings(controller, place.version, isPlugin: isPlugin) {
            let path = "\(place.directory)/\(file)"
            do throws(Errno) { try CgroupFiles.write(text, to: path) } catch {
                // Kernels before 4.19 have no memory.oom.group, which like memory.high is no limit; what is unlimited anyway need not be said.
                guard needs(controller), !["memory.high", "memory.oom.group"].contains(file) else { continue }
                let isAboveService = file == "cpu.cfs_quota_us" && error.rawValue == EINVAL
                problems.append(
                    isAboveService ? "\(path): more than the service's own share, which holds" : "\(path): \(error)"
                )
            }
        }
        return problems
    }
}
