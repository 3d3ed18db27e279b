// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Syscalls

/// The cgroup of one plugin: its processes, with those that they start, limited and counted by themselves.
public final class PluginGroup {
    public let name: String
    public private(set) var limits: CgroupLimits
    /// By controller; of version 2 all are the same directory.
    let places: [CgroupController: CgroupTree.Place]
    /// Processes that were killed for memory when the one under way was started.
    private var killsBefore: Int64 = 0

    init(name: String, limits: CgroupLimits, places: [CgroupController: CgroupTree.Place]) {
        self.name = name
        self.limits = limits
        self.places = places
    }

    private var directories: [String] { Set(places.values.map(\.directory)).sorted() }

    /// Makes the cgroup, if it is not there, and opens what a child writes to that enters it.
    ///
    /// - Returns: limits that are not in effect, and why.
    public func open() throws(Errno) -> (entrances: Entrances, problems: [String]) {
        var descriptors: [CInt] = []
        do throws(Errno) {
            for directory in directories {
                try CgroupFiles.make(directory)
                descriptors.append(try FileDescriptor.open("\(directory)/cgroup.procs", .write).release())
            }
        } catch {
            _ = Entrances(descriptors)
            throw error
        }
        let problems = apply()
        killsBefore = memoryKills
        return (Entrances(descriptors), problems)
    }

    private func apply() -> [String] {
        CgroupController.allCases.flatMap { controller in
            if let place = places[controller] { return limits.apply(controller, at: place, isPlugin: true) }
            return limits.needs(controller) ? ["the service's cgroup has no controller \(controller.rawValue)"] : []
        }
    }

    /// Puts other limits into effect at once.
    ///
    /// - Returns: those that are not, and why.
    public func change(_ limits: CgroupLimits) -> [String] {
        guard limits != self.limits else { return [] }
        self.limits = limits
        return directories.allSatisfy(CgroupFiles.exists) ? apply() : []
    }

    /// Removes the cgroup when nothing is left in it. What a plugin left running keeps it until the next time.
    public func remove() {
        for directory in directories { unsafe _ = rmdir(directory) }
    }

    // MARK: What it uses

    /// Processes of it that the kernel killed because the plugin had used up its memory. Before Linux 4.13 nobody counts.
    private var memoryKills: Int64 {
        guard let place = places[.memory] else { return 0 }
        switch place.version {
        case .v2: return CgroupFiles.value("oom_kill", in: "\(place.directory)/memory.events") ?? 0
        case .v1: return CgroupFiles.value("oom_kill", in: "\(place.directory)/memory.oom_control") ?? 0
        }
    }

    /// Was a process killed for memory since it was started?
    public var hasRunOutOfMemory: Bool { memoryKills > killsBefore }

    public struct Usage: Equatable, Sendable {
        /// Bytes, with the files that it has in the page cache.
        public var memory: Int64?
        public var cpuSeconds: Double?
        public var processes: Int64?
    }

    public var usage: Usage {
        var usage = Usage()
        if let place = places[.memory] {
            usage.memory = CgroupFiles.number(
                "\(place.directory)/\(place.version == .v2 ? "memory.current" : "memory.usage_in_bytes")"
            )
        }
        if let place = places[.cpu] {
            switch place.version {
            case .v2:
                usage.cpuSeconds = CgroupFiles.value("usage_usec", in: "\(place.directory)/cpu.stat").map {
                    Double($0) / 1e6
                }
            case .v1: usage.cpuSeconds = CgroupFiles.number("\(place.directory)/cpuacct.usage").map { Double($0) / 1e9 }
            }
        }
        if let place = places[.pids] { usage.processes = CgroupFiles.number("\(place.directory)/pids.current") }
        return usage
    }

    /// Open `cgroup.procs` files, until a child has used them.
    public final class Entrances {
        public let descriptors: [CInt]
        init(_ descriptors: [CInt]) { self.descriptors = descriptors }
        deinit { for raw in descriptors { _ = FileDescriptor(owning: raw) } }
    }
}
