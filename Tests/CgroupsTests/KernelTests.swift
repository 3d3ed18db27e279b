// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Foundation
import Glibc
import Synchronization
import Syscalls
import TestSupport
import Testing

/// Groups of the test's own in the kernel's hierarchies of version 1.
final class KernelGroups {
    /// Where the hierarchies are mounted.
    static let roots = CgroupTree(
        membership: "3:memory:/\n2:cpu:/\n1:pids:/\n",
        mounts: (try? FileDescriptor.readFile("/proc/self/mountinfo", limit: 16 << 20)).map {
            String(decoding: $0, as: UTF8.self)
        } ?? ""
    ).separate

    /// Are they all there, and ours to change?
    static var areWritable: Bool {
        geteuid() == 0 && roots.count == 3 && roots.values.allSatisfy { unsafe access($0, W_OK) == 0 }
    }

    private static let count = Mutex(0)
    private let name: String

    init() throws {
        let number = Self.count.withLock { count in
            count += 1
            return count
        }
        name = "elkeid-test-\(getpid())-\(number)"
        for root in Self.roots.values { try CgroupFiles.make("\(root)/\(name)") }
    }

    deinit {
        for root in Self.roots.values { Self.remove("\(root)/\(name)") }
    }

    private static func remove(_ directory: String) {
        for entry in (try? FileDescriptor.open(directory, .directory).entries()) ?? [] where entry.kind == .directory {
            if let name = entry.text { remove("\(directory)/\(name)") }
        }
        if unsafe rmdir(directory) != 0 { Issue.record("\(directory): \(Errno.current)") }
    }

    /// Makes a group below the test's own, in all hierarchies.
    func make(_ path: String) throws {
        for controller in Self.roots.keys { try CgroupFiles.make(directory(controller, path)) }
    }

    func directory(_ controller: CgroupController, _ path: String) -> String {
        "\(Self.roots[controller] ?? "")/\(name)/\(path)"
    }

    /// What a process would see that is in a group of the test's.
    func tree(_ path: String) -> CgroupTree {
        let mounts = (try? FileDescriptor.readFile("/proc/self/mountinfo", limit: 16 << 20)) ?? []
        return CgroupTree(
            membership: "3:memory:/\(name)/\(path)\n2:cpu:/\(name)/\(path)\n1:pids:/\(name)/\(path)\n",
            mounts: String(decoding: mounts, as: UTF8.self)
        )
    }
}

@Suite(
    "Cgroups: the kernel's own, version 1",
    .enabled(
        if: KernelGroups.areWritable,
        "not root, or memory, cpu and pids are no hierarchies of version 1 that can be written"
    )
)
struct KernelTests {
    let kernel: KernelGroups
    let groups: PluginGroups

    init() throws {
        kernel = try KernelGroups()
        try kernel.make("elkeid-agent")
        groups = try PluginGroups.take(kernel.tree("elkeid-agent"))
    }

    func read(_ controller: CgroupController, _ file: String, plugin: String = "x") -> String? {
        CgroupFiles.read("\(kernel.directory(controller, "elkeid-agent/plugin-\(plugin)"))/\(file)")?
            .trimmingCharacters(in: .newlines)
    }

    @Test func limitsAreInEffect() throws {
        let group = groups.group("x", limits: CgroupLimits(memory: 32 << 20, cpuPercent: 25, processes: 7))
        #expect(try group.open().problems == [])
        #expect(read(.memory, "memory.limit_in_bytes") == "33554432" && read(.cpu, "cpu.cfs_quota_us") == "25000")
        #expect(read(.cpu, "cpu.cfs_period_us") == "100000" && read(.pids, "pids.max") == "7")
        // Others, more and less, while it is there.
        for (memory, percent, processes) in [(64 << 20, 1, 1), (8 << 20, 1000, 4000)] {
            #expect(group.change(CgroupLimits(memory: memory, cpuPercent: percent, processes: processes)) == [])
            #expect(read(.memory, "memory.limit_in_bytes") == "\(memory)" && read(.pids, "pids.max") == "\(processes)")
            #expect(read(.cpu, "cpu.cfs_quota_us") == "\(percent * 1000)")
        }
        #expect(group.change(CgroupLimits()) == [])
        #expect(read(.pids, "pids.max") == "max" && read(.cpu, "cpu.cfs_quota_us") == "-1")
        #expect(read(.memory, "memory.limit_in_bytes").flatMap { Int64($0) }.map { $0 > 1 << 60 } == true)
        // What one group may have is nothing to another.
        let other = groups.group("y", limits: CgroupLimits(processes: 3))
        #expect(try other.open().problems == [])
        #expect(read(.pids, "pids.max") == "max" && read(.pids, "pids.max", plugin: "y") == "3")
    }

    /// The kernel refuses more than the group above has. That is said so, and the rest is in effect.
    @Test func moreThanTheServiceMayUse() throws {
        try CgroupFiles.write("50000", to: "\(kernel.directory(.cpu, "elkeid-agent"))/cpu.cfs_quota_us")
        let group = groups.group("x", limits: CgroupLimits(memory: 32 << 20, cpuPercent: 80, processes: 7))
        let problems = try group.open().problems
        #expect(problems.count == 1 && problems[0].contains("cpu.cfs_quota_us: more than the service's own share"))
        #expect(read(.memory, "memory.limit_in_bytes") == "33554432" && read(.pids, "pids.max") == "7")
        #expect(group.change(CgroupLimits(memory: 32 << 20, cpuPercent: 20, processes: 7)) == [])
        #expect(read(.cpu, "cpu.cfs_quota_us") == "20000")
    }

    @Test func limitsAreKeptUntilThereIsAGroup() throws {
        let group = groups.group("x", limits: CgroupLimits(processes: 7))
        #expect(group.change(CgroupLimits(processes: 9)) == [] && group.limits == CgroupLimits(processes: 9))
        #expect(read(.pids, "pids.max") == nil, "nothing is made for that")
        _ = try group.open()
        #expect(read(.pids, "pids.max") == "9")
    }

    @Test func aGroupIsThereAsLongAsSomebodyIsInIt() throws {
        let group = groups.group("x", limits: CgroupLimits(processes: 7))
        #expect(read(.memory, "cgroup.procs") == nil)
        let (entrances, _) = try group.open()
        #expect(entrances.descriptors.count == 3 && read(.memory, "cgroup.procs") == "")
        var input = try Syscalls.Pipe()
        let end = try take(&input.read)
        let child = try Child.shell("read line; exit 0").start([end.rawValue, -1, -1])
        for raw in entrances.descriptors {
            let entrance = FileDescriptor(owning: raw)
            #expect([UInt8]("\(child)".utf8).withBytes { entrance.write($0) } == .bytes("\(child)".utf8.count))
            _ = entrance.release()
        }
        for controller in CgroupController.allCases { #expect(read(controller, "cgroup.procs") == "\(child)") }
        let usage = group.usage
        #expect(usage.processes == 1 && usage.memory.map { $0 >= 0 } == true)
        group.remove()
        for controller in CgroupController.allCases { #expect(read(controller, "cgroup.procs") == "\(child)") }
        // Opened again, nothing of it changes.
        #expect(try group.open().problems == [] && read(.pids, "cgroup.procs") == "\(child)")
        try take(&input.write).close()
        #expect(Child.reap(child) == 0)
        group.remove()
        for controller in CgroupController.allCases { #expect(read(controller, "cgroup.procs") == nil) }
        group.remove()
        let nothing = group.usage
        #expect(
            nothing.memory == nil && nothing.cpuSeconds == nil && nothing.processes == nil && !group.hasRunOutOfMemory
        )
    }

    /// What is open for entering is closed with its owner.
    @Test func entrancesAreClosed() throws {
        let group = groups.group("x", limits: CgroupLimits())
        let place = kernel.directory(.memory, "elkeid-agent/plugin-x")
        func open() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { name in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)"))?.hasPrefix(place)
                    == true
            }
        }
        var entrances: PluginGroup.Entrances? = try group.open().entrances
        #expect(entrances != nil)
        #expect(try open() == 1)
        entrances = nil
        #expect(try open() == 0)
    }

    @Test func memoryIsUsedUp() throws {
        let group = groups.group("x", limits: CgroupLimits(memory: 20 << 20))
        #expect(try group.open().problems == [] && !group.hasRunOutOfMemory)
        let procs = "\(kernel.directory(.memory, "elkeid-agent/plugin-x"))/cgroup.procs"
        func run(_ script: String) throws -> CInt {
            Child.reap(try Child.shell("echo 0 >\(procs) || exit 9\n\(script)").start())
        }
        #expect(try run("exit 3") == 3 && !group.hasRunOutOfMemory)
        // A kill for another reason is none for that one.
        #expect(try run("kill -KILL $$") == 137 && !group.hasRunOutOfMemory)
        // tail keeps a line that never ends. Without a limit of the group it ends by its own.
        #expect(try run("ulimit -v 2000000; exec tail /dev/zero") == 137)
        #expect(group.hasRunOutOfMemory)
        // For the next process this is the past.
        #expect(try group.open().problems == [] && !group.hasRunOutOfMemory)
        #expect(try run("ulimit -v 2000000; exec tail /dev/zero") == 137)
        #expect(group.hasRunOutOfMemory)
    }

    /// A group that the kernel does not let divide, or that is not there, is told.
    @Test func aGroupThatCannotBeMade() throws {
        let group = groups.group("a/b", limits: CgroupLimits())
        #expect(throws: Errno.notFound) { _ = try group.open() }
        #expect(throws: Errno.notFound) { _ = try group.open() }
        let lone = groups.group("lone", limits: CgroupLimits(memory: 1 << 20))
        // One hierarchy of three is gone: what is there of the others does no harm.
        #expect(unsafe rmdir(kernel.directory(.cpu, "elkeid-agent")) == 0)
        #expect(throws: Errno.notFound) { _ = try lone.open() }
    }

    @Test(arguments: ["session-3.scope", "ssh.service", "elkeid-agent/elkeid-agent.d"])
    func othersAreNeverTouched(path: String) throws {
        try kernel.make(path)
        try kernel.make("\(path)/plugin-old")
        #expect(absence(kernel.tree(path)) == "this process's cgroup is not the service's own")
        for controller in CgroupController.allCases {
            #expect(CgroupFiles.exists(kernel.directory(controller, "\(path)/plugin-old")))
            let names = try FileDescriptor.open(kernel.directory(controller, path), .directory).entries()
                .filter { $0.kind == .directory }.map(\.text)
            #expect(names == ["plugin-old"])
        }
    }

    /// Whatever an agent before this one left behind.
    @Test func leftoversGo() throws {
        try kernel.make("elkeid-agent/plugin-old")
        try kernel.make("elkeid-agent/plugin-busy")
        try kernel.make("elkeid-agent/other")
        let busy = kernel.directory(.memory, "elkeid-agent/plugin-busy")
        var input = try Syscalls.Pipe()
        let end = try take(&input.read)
        let waiting = try Child.shell("read line; exit 0").start([end.rawValue, -1, -1])
        try CgroupFiles.write("\(waiting)", to: "\(busy)/cgroup.procs")
        _ = try PluginGroups.take(kernel.tree("elkeid-agent"))
        #expect(CgroupFiles.exists(busy) && !CgroupFiles.exists(kernel.directory(.cpu, "elkeid-agent/plugin-busy")))
        for controller in CgroupController.allCases {
            #expect(!CgroupFiles.exists(kernel.directory(controller, "elkeid-agent/plugin-old")))
            #expect(CgroupFiles.exists(kernel.directory(controller, "elkeid-agent/other")))
        }
        try take(&input.write).close()
        #expect(Child.reap(waiting) == 0)
    }
}
