// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Foundation
import Glibc
import Plugins
import Syscalls
import TestSupport
import Testing

/// A service's group in the kernel's hierarchy of version 1 for memory, below one of the test's own.
final class KernelGroup {
    static let mounts = String(
        decoding: (try? FileDescriptor.readFile("/proc/self/mountinfo", limit: 16 << 20)) ?? [],
        as: UTF8.self
    )
    static let root = CgroupTree(membership: "1:memory:/\n", mounts: mounts).separate[.memory]

    static var isWritable: Bool {
        guard geteuid() == 0, let root else { return false }
        return unsafe access(root, W_OK) == 0
    }

    let path: String
    let leaf: String

    init() throws {
        path = "/elkeid-test-\(getpid())-\(UUID().uuidString.prefix(8))"
        leaf = "\(path)/elkeid-agent/plugin-script"
        for part in ["", "/elkeid-agent"] { try CgroupFiles.make("\(Self.root ?? "")\(path)\(part)") }
    }

    deinit {
        for directory in [leaf, "\(path)/elkeid-agent", path] where CgroupFiles.exists("\(Self.root ?? "")\(directory)")
        {
            if unsafe rmdir("\(Self.root ?? "")\(directory)") != 0 { Issue.record("\(directory): \(Errno.current)") }
        }
    }

    func group(_ limits: CgroupLimits) throws -> PluginGroup {
        try PluginGroups.take(CgroupTree(membership: "1:memory:\(path)/elkeid-agent\n", mounts: Self.mounts))
            .group("script", limits: limits)
    }
}

@Suite(
    "Plugins: in a cgroup of the kernel's",
    .enabled(
        if: KernelGroup.isWritable,
        "not root, or there is no hierarchy of version 1 for memory that can be written"
    )
)
struct LaunchGroupTests {
    /// The child and what it starts run in the leaf from the first instruction on; this process does not.
    @Test func theChildIsInItsGroup() throws {
        let kernel = try KernelGroup()
        let group = try kernel.group(CgroupLimits(memory: 64 << 20))
        let before = try FileDescriptor.readFile("/proc/self/cgroup")
        let plugin = try ScriptPlugin("cat /proc/$$/cgroup >&4; (cat /proc/self/cgroup >&4); exit 3", group: group)
        for _ in 0..<3 {
            let run = try plugin.run()
            #expect(run.status == 3 && run.limitProblems == [])
            let places = run.output.split(separator: "\n").filter { $0.contains(":memory:") }
            #expect(places.count == 2 && places.allSatisfy { $0.hasSuffix(":memory:\(kernel.leaf)") }, "\(run.output)")
        }
        #expect(try FileDescriptor.readFile("/proc/self/cgroup") == before)
        #expect(!group.hasRunOutOfMemory && group.usage.memory != nil)
        group.remove()
        #expect(group.usage.memory == nil)
        // Removed, it is made again.
        #expect(try plugin.run().output.contains(kernel.leaf))
    }

    /// What uses up the plugin's memory is killed, alone, and one can tell.
    @Test func memoryIsUsedUp() throws {
        let kernel = try KernelGroup()
        let group = try kernel.group(CgroupLimits(memory: 20 << 20))
        // tail keeps a line that never ends. Without a limit of the group it ends by its own.
        let greedy = try ScriptPlugin("ulimit -v 2000000; exec tail /dev/zero", group: group)
        let modest = try ScriptPlugin("exit 0", group: group)
        for _ in 0..<2 {
            let run = try greedy.run()
            #expect(run.status == 128 + SIGKILL && run.limitProblems == [])
            #expect(group.hasRunOutOfMemory)
            #expect(try modest.run().status == 0)
            #expect(!group.hasRunOutOfMemory, "that was another time")
        }
        // Killed by somebody else.
        #expect(try ScriptPlugin("kill -KILL $$", group: group).run().status == 128 + SIGKILL)
        #expect(!group.hasRunOutOfMemory)
        // A part of it that is killed counts as well: the plugin may live on without it.
        let partly = try ScriptPlugin("(ulimit -v 2000000; exec tail /dev/zero); exit 5", group: group)
        #expect(try partly.run().status == 5)
        #expect(group.hasRunOutOfMemory)
        // With more of it the same is no problem.
        #expect(group.change(CgroupLimits(memory: 300 << 20)) == [])
        let some = try ScriptPlugin("head -c 50000000 /dev/zero | tail -c 50000000 | wc -c >&4", group: group)
        #expect(try some.run().output == "50000000\n")
        #expect(!group.hasRunOutOfMemory)
    }
}
