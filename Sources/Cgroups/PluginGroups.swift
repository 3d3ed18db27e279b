// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// The cgroups of all plugins, below the service's own.
///
/// Only where that is ours to divide: the service manager has made it for the agent and leaves it to it (systemd's
/// Delegate=, or elkeidctl under sysvinit). A login session's is never touched.
public final class PluginGroups {
    /// Version 2 has no processes beside cgroups: the agent goes into this one itself.
    static let own = "agent"
    static let prefix = "plugin-"
    /// What the service's cgroup is called by systemd, and by elkeidctl.
    static let services = ["elkeid-agent.service", "elkeid-agent"]

    private let places: [CgroupController: CgroupTree.Place]

    /// Bytes that a plugin gets that has no limit of its own: four fifths of what the service has. One that leaks then
    /// meets its own end before it meets the service's, at which the kernel may choose the agent, or slow it down.
    public let memoryShare: Int?

    private init(_ places: [CgroupController: CgroupTree.Place]) {
        self.places = places
        let limit = places[.memory].flatMap { place in
            CgroupFiles.number("\(place.directory)/\(place.version == .v2 ? "memory.max" : "memory.limit_in_bytes")")
        }
        // With version 1 no limit is a number, too: the largest.
        memoryShare = limit.flatMap { $0 < 1 << 50 ? Int($0) / 5 * 4 : nil }
    }

    /// For the log: which controllers, and of which version.
    public var description: String {
        places.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key.rawValue) (cgroup \($0.value.version))" }.joined(separator: ", ")
    }

    /// Why plugins have no cgroups of their own.
    public struct Absence: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        public init(_ description: String) { self.description = description }
    }

    /// Takes the service's cgroup over: with version 2 the agent, and what else is in it, moves into "agent" below.
    public static func take(_ tree: CgroupTree) throws(Absence) -> PluginGroups {
        var places: [CgroupController: CgroupTree.Place] = [:]
        for (controller, directory) in tree.separate where isOurs(directory) {
            places[controller] = .init(version: .v1, directory: directory)
        }
        var problem: Absence?
        if let unified = tree.unified {
            do throws(Absence) {
                let wanted = CgroupController.allCases.filter { tree.separate[$0] == nil }
                for (controller, place) in try takeUnified(unified, wanted) { places[controller] = place }
            } catch {
                problem = error
            }
        }
        guard !places.isEmpty else {
            throw problem ?? Absence("this process's cgroup is not the service's own")
        }
        let groups = PluginGroups(places)
        groups.removeEmpty()
        return groups
    }

    private static func isOurs(_ directory: String) -> Bool {
        services.contains { directory.hasSuffix("/\($0)") }
    }

    private static func takeUnified(
        _ directory: String,
        _ wanted: [CgroupController]
    ) throws(Absence) -> [CgroupController: CgroupTree.Place] {
        var base = directory
        // systemd's DelegateSubgroup= has put the agent there already.
        if base.hasSuffix("/\(own)") { base.removeLast(own.count + 1) }
        guard isOurs(base) else { throw Absence("\(directory) is not the service's own cgroup") }
        let usable = CgroupFiles.controllers(base).filter(wanted.contains)
        guard !usable.isEmpty else { throw Absence("\(base) has no controllers") }
        do throws(Errno) {
            try CgroupFiles.make("\(base)/\(own)")
            // Until nobody is left: the controllers are refused (EBUSY) beside processes.
            for _ in 0..<10 {
                let processes = CgroupFiles.processes(base)
                if processes.isEmpty { break }
                for pid in processes { try move(pid, to: "\(base)/\(own)") }
            }
            var enabled: [CgroupController: CgroupTree.Place] = [:]
            for controller in usable {
                do throws(Errno) {
                    try CgroupFiles.write("+\(controller.rawValue)", to: "\(base)/cgroup.subtree_control")
                    enabled[controller] = .init(version: .v2, directory: base)
                } catch {
                    // The others may be had all the same.
                    if usable.count == 1 { throw error }
                }
            }
            return enabled
        } catch {
            throw Absence("\(base) cannot be divided: \(error)")
        }
    }

    private static func move(_ pid: Int32, to directory: String) throws(Errno) {
        do throws(Errno) { try CgroupFiles.write("\(pid)", to: "\(directory)/cgroup.procs") } catch {
            // It has ended meanwhile.
            guard error == .noSuchProcess else { throw error }
        }
    }

    /// What an agent before this one left, that has no processes.
    private func removeEmpty() {
        for base in Set(places.values.map(\.directory)) {
            guard let entries = try? FileDescriptor.open(base, .directory).entries() else { continue }
            for case let name? in entries.map(\.text) where name.hasPrefix(Self.prefix) {
                unsafe _ = rmdir("\(base)/\(name)")
            }
        }
    }

    /// The cgroup of a plugin; it is made when the plugin is started.
    public func group(_ name: String, limits: CgroupLimits) -> PluginGroup {
        PluginGroup(
            name: name,
            limits: limits,
            places: places.mapValues { .init(version: $0.version, directory: "\($0.directory)/\(Self.prefix)\(name)") }
        )
    }
}
