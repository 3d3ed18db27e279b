// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Foundation
import Syscalls
import Testing

/// What is written to which file, in ordinary folders that stand in for the kernel's.
@Suite("Cgroups: limits as they are written")
struct LimitTests {
    let folder: StandIn

    init() throws { folder = try StandIn() }

    static let none = CgroupLimits()
    static let all = CgroupLimits(memory: 250 << 20, cpuPercent: 10, processes: 64)

    static let v2: [(CgroupLimits, CgroupController, [String: String])] = [
        (all, .memory, ["memory.high": "258048000", "memory.max": "262144000", "memory.oom.group": "1"]),
        (
            CgroupLimits(memory: 1 << 20), .memory,
            ["memory.high": "1032192", "memory.max": "1048576", "memory.oom.group": "1"]
        ),
        (
            CgroupLimits(memory: 1 << 50), .memory,
            ["memory.high": "1108307720798208", "memory.max": "1125899906842624", "memory.oom.group": "1"]
        ),
        (none, .memory, ["memory.high": "max", "memory.max": "max", "memory.oom.group": "1"]),
        (all, .cpu, ["cpu.max": "10000 100000"]), (CgroupLimits(cpuPercent: 1), .cpu, ["cpu.max": "1000 100000"]),
        (CgroupLimits(cpuPercent: 150), .cpu, ["cpu.max": "150000 100000"]),
        (CgroupLimits(cpuPercent: 819_200), .cpu, ["cpu.max": "819200000 100000"]),
        (none, .cpu, ["cpu.max": "max 100000"]),
        (all, .pids, ["pids.max": "64"]), (CgroupLimits(processes: 4 << 20), .pids, ["pids.max": "4194304"]),
        (none, .pids, ["pids.max": "max"]),
    ]

    static let v1: [(CgroupLimits, CgroupController, [String: String])] = [
        (all, .memory, ["memory.limit_in_bytes": "262144000"]), (none, .memory, ["memory.limit_in_bytes": "-1"]),
        (all, .cpu, ["cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "10000"]),
        (none, .cpu, ["cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"]),
        (all, .pids, ["pids.max": "64"]), (none, .pids, ["pids.max": "max"]),
    ]

    func check(
        _ row: (CgroupLimits, CgroupController, [String: String]),
        _ version: CgroupTree.Place.Version,
        isPlugin: Bool = true
    ) throws {
        let (limits, controller, expected) = row
        var records: [String: Record] = [:]
        for file in [
            "memory.high", "memory.max", "memory.oom.group", "cpu.max", "pids.max", "memory.limit_in_bytes",
            "cpu.cfs_period_us", "cpu.cfs_quota_us",
        ] { records[file] = try folder.record(file) }
        #expect(limits.apply(controller, at: .init(version: version, directory: folder.root), isPlugin: isPlugin) == [])
        #expect(records.mapValues(\.text).filter { !$0.value.isEmpty } == expected)
    }

    @Test(arguments: v2.indices) func version2(index: Int) throws { try check(Self.v2[index], .v2) }

    @Test(arguments: v1.indices) func version1(index: Int) throws { try check(Self.v1[index], .v1) }

    /// The service's own group is not killed as a whole, with the agent in it, and nobody in it is slowed down.
    @Test func theServiceItself() throws {
        try check((Self.all, .memory, ["memory.max": "262144000"]), .v2, isPlugin: false)
    }

    @Test(arguments: v1.indices) func theServiceItselfInVersion1(index: Int) throws {
        try check(Self.v1[index], .v1, isPlugin: false)
    }

    /// What cannot be written is told when it limits something, by the file's name; the rest is written all the same.
    @Test func whatTheKernelRefuses() throws {
        let place = CgroupTree.Place(version: .v2, directory: folder.root)
        for controller in CgroupController.allCases {
            #expect(
                Self.none.apply(controller, at: place, isPlugin: true) == [],
                "what is unlimited anyway need not be said"
            )
        }
        // memory.max is missing, which does not keep the rest from being written.
        let together = try folder.record("memory.oom.group")
        let problems = Self.all.apply(.memory, at: place, isPlugin: true)
        #expect(problems.count == 1 && problems[0].hasPrefix("\(folder.root)/memory.max: "))
        #expect(together.text == "1")
        // Kernels before 4.19 have no memory.oom.group.
        let maximum = try folder.record("memory.max")
        try FileManager.default.removeItem(atPath: "\(folder.root)/memory.oom.group")
        #expect(Self.all.apply(.memory, at: place, isPlugin: true) == [] && maximum.text == "262144000")
        #expect(
            Self.all.apply(.cpu, at: place, isPlugin: true).map { $0.hasPrefix("\(folder.root)/cpu.max: ") } == [true]
        )
        #expect(Self.all.apply(.pids, at: place, isPlugin: true).count == 1)
        // A limit of another controller does not matter.
        #expect(CgroupLimits(memory: 1 << 20).apply(.cpu, at: place, isPlugin: true) == [])
        // A file that can be opened, and not written.
        try FileManager.default.createSymbolicLink(atPath: "\(folder.root)/pids.max", withDestinationPath: "/dev/full")
        let full = Self.all.apply(.pids, at: place, isPlugin: true)
        #expect(full == ["\(folder.root)/pids.max: \(Errno(rawValue: 28))"])
    }

    @Test func numbersAndValues() throws {
        try folder.file("number", "12345\n")
        try folder.file("max", "max\n")
        try folder.file("negative", "-7")
        try folder.file("empty", "")
        try folder.file("events", "low 0\nhigh 17\noom_kill 3\noom_kill_x 9\nbad\nworse x\ntwo 1 2\n")
        let root = folder.root
        #expect(CgroupFiles.number("\(root)/number") == 12345 && CgroupFiles.number("\(root)/negative") == -7)
        for name in ["max", "empty", "missing"] { #expect(CgroupFiles.number("\(root)/\(name)") == nil) }
        for (name, value) in [("high", 17), ("low", 0), ("oom_kill", 3), ("oom_kill_x", 9)] as [(String, Int64)] {
            #expect(CgroupFiles.value(name, in: "\(root)/events") == value)
        }
        for name in ["oom", "bad", "worse", "two", ""] { #expect(CgroupFiles.value(name, in: "\(root)/events") == nil) }
        #expect(CgroupFiles.value("low", in: "\(root)/missing") == nil)
    }

    @Test func processesOfAGroup() throws {
        try folder.file("cgroup.procs", "1\n22\n333\n")
        #expect(CgroupFiles.processes(folder.root) == [1, 22, 333])
        try folder.file("cgroup.procs", "")
        #expect(CgroupFiles.processes(folder.root) == [] && CgroupFiles.processes("/no/such/group") == [])
    }
}
