// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Glibc
import Syscalls

/// The service's cgroups where no systemd makes them: "elkeid-agent" at the root of each hierarchy, with the limits that
/// the unit has under systemd.
struct HostGroups {
    /// As MemoryMax= and CPUQuota= of the unit.
    static let limits = CgroupLimits(memory: 250 << 20, cpuPercent: 10)
    static let name = "elkeid-agent"

    /// Of agent.conf: hierarchies that nobody has mounted are mounted below it, as upstream does.
    let folder: String

    /// An open `cgroup.procs`.
    final class Entrance {
        let descriptor: CInt
        init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor.release() }
        deinit { _ = close(descriptor) }
    }

    /// The roots of the hierarchies, by what pid 1 is in: its cgroup is the root wherever there is no systemd.
    private func roots() -> [CgroupController: CgroupTree.Place] {
        var result: [CgroupController: CgroupTree.Place] = [:]
        guard let mounts = CgroupFiles.read("/proc/self/mountinfo"), let own = CgroupFiles.read("/proc/self/cgroup")
        else {
            return result
        }
        let membership = own.split(separator: "\n").map { line in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            return fields.count == 3 ? "\(fields[0]):\(fields[1]):/" : ""
        }.joined(separator: "\n")
        let tree = CgroupTree(membership: membership, mounts: mounts)
        for (controller, directory) in tree.separate {
            result[controller] = .init(version: .v1, directory: directory)
        }
        if let unified = tree.unified {
            for controller in CgroupFiles.controllers(unified) where result[controller] == nil {
                result[controller] = .init(version: .v2, directory: unified)
            }
        }
        return result
    }

    /// Controllers that the kernel has and nobody has mounted, as on hosts whose /etc/fstab forgot them.
    private func mountMissing() {
        let mounted = roots()
        let missing = CgroupController.allCases.filter { mounted[$0] == nil }
        guard !missing.isEmpty, let listed = CgroupFiles.read("/proc/cgroups") else { return }
        for line in listed.split(separator: "\n") {
            let fields = line.split(separator: "\t")
            // Name, hierarchy, number of cgroups, enabled; hierarchy 0: in none of version 1.
            guard fields.count == 4, fields[1] == "0", fields[3] == "1",
                let controller = missing.first(where: { $0.rawValue == fields[0] })
            else { continue }
            let point = "\(folder)/cgroup/\(controller.rawValue)"
            guard (try? FileDescriptor.makeDirectories(point)) != nil else { continue }
            unsafe _ = mount("cgroup", point, "cgroup", 0, controller.rawValue)
        }
    }

    /// Makes the cgroups, sets their limits, and opens them for the agent.
    ///
    /// - Returns: one for each hierarchy, and what could not be had.
    func prepare() -> (entrances: [Entrance], problems: [String]) {
        mountMissing()
        let roots = roots()
        guard !roots.isEmpty else {
            return (
                [], ["this host has no cgroups for memory, cpu or pids: the agent and its plugins run without limits"]
            )
        }
        var problems: [String] = []
        var entrances: [String: Entrance] = [:]
        for (controller, root) in roots.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            let place = CgroupTree.Place(version: root.version, directory: "\(root.directory)/\(Self.name)")
            do throws(Errno) {
                if root.version == .v2 {
                    try CgroupFiles.write("+\(controller.rawValue)", to: "\(root.directory)/cgroup.subtree_control")
                }
                try CgroupFiles.make(place.directory)
                // One that an agent divided has no place for processes beside its cgroups any more.
                let inner = "\(place.directory)/agent"
                if root.version == .v2, entrances[place.directory] == nil,
                    !(CgroupFiles.read("\(place.directory)/cgroup.subtree_control") ?? "").allSatisfy(\.isWhitespace)
                {
                    try CgroupFiles.make(inner)
                    entrances[place.directory] = Entrance(try FileDescriptor.open("\(inner)/cgroup.procs", .write))
                } else if entrances[place.directory] == nil {
                    entrances[place.directory] = Entrance(
                        try FileDescriptor.open("\(place.directory)/cgroup.procs", .write)
                    )
                }
                problems += Self.limits.apply(controller, at: place, isPlugin: false)
            } catch {
                problems.append("\(place.directory): \(error): no limit of \(controller.rawValue)")
            }
        }
        return (Array(entrances.values), problems)
    }

    private var directories: [String] {
        Set(roots().values.map { "\($0.directory)/\(Self.name)" }).filter(CgroupFiles.exists).sorted()
    }

    /// The service's cgroup, and those that the agent has made below it.
    private func tree(_ directory: String) -> [String] {
        let children = (try? FileDescriptor.open(directory, .directory).entries()) ?? []
        return [directory]
            + children.filter { $0.kind == .directory }.compactMap(\.text).map { "\(directory)/\($0)" }
    }

    /// All processes of the service.
    var processes: [Int32] {
        Set(directories.flatMap(tree).flatMap(CgroupFiles.processes)).sorted()
    }

    func remove() {
        for directory in directories {
            for child in tree(directory).reversed() { unsafe _ = rmdir(child) }
        }
    }

    /// Processes that work elsewhere go back to the root.
    func moveStrangersOut(below folders: [String]) {
        for (_, root) in roots() {
            for pid in CgroupFiles.processes("\(root.directory)/\(Self.name)") {
                guard let directory = linkTarget("/proc/\(pid)/cwd"),
                    !folders.contains(where: { "\(directory)/".hasPrefix($0) })
                else { continue }
                _ = try? CgroupFiles.write("\(pid)", to: "\(root.directory)/cgroup.procs")
            }
        }
    }
}
