// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Foundation
import Syscalls
import Testing

@Suite("Cgroups: whose is taken, and what becomes of it")
struct TakeTests {
    let folder: StandIn

    init() throws { folder = try StandIn() }

    /// A service's cgroup of version 2, as systemd leaves it to the agent.
    func delegated(
        _ path: String,
        controllers: String = "cpuset cpu io memory pids\n",
        processes: String = ""
    ) throws
        -> (moved: Record, enabled: Record)
    {
        try folder.directory("\(path)/agent")
        try folder.file("\(path)/cgroup.controllers", controllers)
        try folder.file("\(path)/cgroup.procs", processes)
        return (try folder.record("\(path)/agent/cgroup.procs"), try folder.record("\(path)/cgroup.subtree_control"))
    }

    @Test(arguments: [
        ("system.slice/elkeid-agent.service", ""), ("elkeid-agent", ""),
        ("system.slice/elkeid-agent.service", "/agent"),
        ("a/b/elkeid-agent", "/agent"),
    ])
    func version2IsDivided(path: String, own: String) throws {
        let (moved, enabled) = try delegated(path)
        let groups = try PluginGroups.take(folder.unified("/\(path)\(own)"))
        #expect(enabled.text == "+memory+cpu+pids" && moved.text == "")
        #expect(groups.description == "cpu (cgroup v2), memory (cgroup v2), pids (cgroup v2)")
        // The plugin's group is below the service's, beside the agent's own.
        let records = try folder.recordsV2("\(path)/plugin-driver")
        let group = groups.group("driver", limits: LimitTests.all)
        let (entrances, problems) = try group.open()
        #expect(problems == [] && entrances.descriptors.count == 1)
        #expect(records["memory.max"]?.text == "262144000" && records["cpu.max"]?.text == "10000 100000")
        #expect(records["pids.max"]?.text == "64")
        #expect(group.name == "driver" && group.limits == LimitTests.all)
    }

    /// Controllers are refused beside processes: all of them go into a group of their own.
    @Test func processesAreMovedAside() throws {
        let (moved, _) = try delegated("elkeid-agent", processes: "17\n4711\n")
        _ = try PluginGroups.take(folder.unified("/elkeid-agent"))
        // The stand-in's list never gets shorter; that ends as well.
        #expect(moved.text.hasPrefix("174711"))
    }

    @Test(arguments: [
        ("memory", "+memory", "memory (cgroup v2)"), ("io pids\n", "+pids", "pids (cgroup v2)"),
        ("pids cpu", "+cpu+pids", "cpu (cgroup v2), pids (cgroup v2)"),
    ])
    func whatControllersThereAre(controllers: String, written: String, description: String) throws {
        let (_, enabled) = try delegated("elkeid-agent", controllers: controllers)
        let groups = try PluginGroups.take(folder.unified("/elkeid-agent"))
        #expect(enabled.text == written && groups.description == description)
    }

    @Test(arguments: ["", "\n", "cpuset io\n", "memoryx\n"])
    func withoutControllers(controllers: String) throws {
        _ = try delegated("elkeid-agent", controllers: controllers)
        #expect(absence(folder.unified("/elkeid-agent"))?.contains("has no controllers") == true)
    }

    /// What cannot be divided: the reason is told.
    @Test func aGroupThatCannotBeDivided() throws {
        try folder.directory("elkeid-agent")
        try folder.file("elkeid-agent/cgroup.controllers", "memory\n")
        try folder.file("elkeid-agent/cgroup.procs", "")
        let reason = absence(folder.unified("/elkeid-agent"))
        #expect(reason?.hasPrefix("\(folder.root)/elkeid-agent cannot be divided: ") == true, "\(reason ?? "")")
        // Processes that cannot be moved are a reason as well.
        try folder.file("elkeid-agent/cgroup.procs", "1\n")
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.root)/elkeid-agent/agent/cgroup.procs",
            withDestinationPath: "/dev/full"
        )
        #expect(absence(folder.unified("/elkeid-agent"))?.contains("\(Errno(rawValue: 28))") == true)
    }

    /// Somebody's session, another service, or something that only sounds alike: nothing is touched there.
    @Test(arguments: [
        "user.slice/user-0.slice/session-3.scope", "system.slice/ssh.service", "not-elkeid-agent",
        "elkeid-agent.service.d",
        "elkeid-agent/other", "elkeid-agents", "system.slice/elkeid-agent.service/x/agent", "agent",
        "elkeid-agent.scope",
    ])
    func othersAreNeverTouched(path: String) throws {
        let (moved, enabled) = try delegated(path, processes: "17\n")
        try folder.directory("\(path)/plugin-old")
        for controller in CgroupController.allCases {
            try folder.directory("\(controller.rawValue)/\(path)/plugin-old")
        }
        #expect(absence(folder.unified("/\(path)"))?.contains("not the service's own cgroup") == true)
        let v1 = folder.separate("/\(path)", CgroupController.allCases)
        #expect(absence(v1) == "this process's cgroup is not the service's own")
        #expect(moved.text == "" && enabled.text == "" && folder.exists("\(path)/plugin-old"))
        #expect(folder.exists("memory/\(path)/plugin-old"))
    }

    @Test func theRootIsNeverTouched() throws {
        #expect(absence(folder.unified("/"))?.contains("not the service's own cgroup") == true)
        #expect(absence(folder.separate("/", CgroupController.allCases)) != nil)
        #expect(absence(CgroupTree(membership: "", mounts: "")) != nil)
    }

    /// With version 1 nothing is moved or written: the hierarchies are as they are.
    @Test func version1IsTakenAsItIs() throws {
        for controller in CgroupController.allCases { try folder.directory("\(controller.rawValue)/elkeid-agent") }
        let groups = try PluginGroups.take(folder.separate("/elkeid-agent", CgroupController.allCases))
        #expect(groups.description == "cpu (cgroup v1), memory (cgroup v1), pids (cgroup v1)")
        for controller in CgroupController.allCases {
            let path = "\(folder.root)/\(controller.rawValue)/elkeid-agent"
            #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
        }
    }

    /// Some controllers have hierarchies of their own, the others are version 2's; each where the service's group is.
    @Test func bothVersionsTogether() throws {
        try folder.directory("memory/elkeid-agent")
        let (_, enabled) = try delegated("unified/elkeid-agent")
        let tree = CgroupTree(
            membership: "4:memory:/elkeid-agent\n3:cpu:/user.slice\n0::/elkeid-agent\n",
            mounts: "1 2 0:1 / \(folder.root)/memory rw - cgroup cgroup rw,memory\n"
                + "1 2 0:2 / \(folder.root)/cpu rw - cgroup cgroup rw,cpu\n"
                + "1 2 0:3 / \(folder.root)/unified rw - cgroup2 cgroup2 rw\n"
        )
        let groups = try PluginGroups.take(tree)
        #expect(groups.description == "memory (cgroup v1), pids (cgroup v2)" && enabled.text == "+pids")
    }

    /// What an agent before left behind and is empty goes; what is in use or somebody else's stays.
    @Test func emptyGroupsAreRemoved() throws {
        _ = try delegated("elkeid-agent")
        for name in ["plugin-old", "plugin-", "plugin-busy/inner", "plugins", "other", "agent/plugin-inner"] {
            try folder.directory("elkeid-agent/\(name)")
        }
        try folder.file("elkeid-agent/plugin-file", "")
        _ = try PluginGroups.take(folder.unified("/elkeid-agent"))
        for name in ["plugin-old", "plugin-"] { #expect(!folder.exists("elkeid-agent/\(name)")) }
        for name in ["plugin-busy/inner", "plugins", "other", "agent/plugin-inner", "plugin-file"] {
            #expect(folder.exists("elkeid-agent/\(name)"), "\(name)")
        }
    }
}
