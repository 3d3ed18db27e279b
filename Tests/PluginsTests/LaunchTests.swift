// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Foundation
import Glibc
import Plugins
import Syscalls
import TestSupport
import Testing

/// A plugin that is a script, in a folder of its own.
final class ScriptPlugin {
    let folder: String
    private(set) var launch: ProcessLaunch

    init(_ script: String, group: PluginGroup? = nil) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("plugin-" + UUID().uuidString).path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        let program = "\(folder)/script"
        try writeScript(script, to: program)
        launch = ProcessLaunch(
            name: "script",
            directory: folder,
            detail: "",
            offersUrgentPipe: false,
            defaults: ChildDefaults(environment: ["PATH=/usr/bin:/bin"]),
            verified: VerifiedProgram(file: try #require(FileIdentity(program))),
            group: group
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// As the agent does when the group could not be entered.
    func withoutGroup() { launch.isConfined = false }

    struct Run {
        var pid: Int32
        /// What it wrote into its record pipe.
        var output: String
        /// Its exit code, or 128 + the signal.
        var status: CInt
        var limitProblems: [String]
    }

    /// Starts it, waits until it has ended, and says what came of it.
    func run() throws -> Run {
        var process = try launch.start()
        let problems = process.limitProblems
        let pid = process.pid
        do {
            if let outcome = process.outcome.take() {
                let isKnown = outcome.waitReadable(milliseconds: 20_000)
                #expect(isKnown)
                try launch.check(outcome)
            }
        } catch {
            _ = Child.reap(pid)
            throw error
        }
        let records = try take(&process.records)
        var bytes: [UInt8] = []
        var before = -1
        while before != bytes.count, records.waitReadable(milliseconds: 60_000) {
            before = bytes.count
            try records.readChunk(appendingTo: &bytes, capacity: 4096)
        }
        return Run(
            pid: pid,
            output: String(decoding: bytes, as: UTF8.self),
            status: Child.reap(pid),
            limitProblems: problems
        )
    }
}

/// Folders that stand in for the kernel's: the only hierarchy is memory's, at `<root>`.
final class StandInGroup {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent("group-" + UUID().uuidString).path

    init() throws {
        try FileManager.default.createDirectory(
            atPath: "\(root)/elkeid-agent/plugin-script",
            withIntermediateDirectories: true
        )
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func group(_ limits: CgroupLimits = CgroupLimits()) throws -> PluginGroup {
        let tree = CgroupTree(
            membership: "4:memory:/elkeid-agent\n",
            mounts: "1 2 0:1 / \(root) rw - cgroup cgroup rw,memory\n"
        )
        let groups = try PluginGroups.take(tree)
        try FileManager.default.createDirectory(
            atPath: "\(root)/elkeid-agent/plugin-script",
            withIntermediateDirectories: true
        )
        return groups.group("script", limits: limits)
    }

    /// A file of the plugin's group that is another.
    func link(_ file: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: "\(root)/elkeid-agent/plugin-script/\(file)",
            withDestinationPath: target
        )
    }
}

@Suite("Plugins: starting one in its cgroup, or without")
struct LaunchTests {
    @Test func withoutAGroup() throws {
        let run = try ScriptPlugin("echo $PWD >&4; exit 7").run()
        #expect(run.status == 7 && run.limitProblems == [] && run.output.hasSuffix("\n"))
    }

    /// The child itself writes that it enters, before it executes the program.
    @Test func aGroupIsEntered() throws {
        let folder = try StandInGroup()
        let group = try folder.group()
        let procs = "\(folder.root)/elkeid-agent/plugin-script/cgroup.procs"
        try Data().write(to: URL(filePath: procs))
        let run = try ScriptPlugin("cat '\(procs)' >&4", group: group).run()
        #expect(run.status == 0 && run.output == "0" && run.limitProblems == [])
    }

    /// A group that cannot be made does not keep the plugin from starting.
    @Test func aGroupThatCannotBeMade() throws {
        let folder = try StandInGroup()
        let group = try folder.group(CgroupLimits(memory: 1 << 20))
        let run = try ScriptPlugin("echo started >&4", group: group).run()
        #expect(run.status == 0 && run.output == "started\n")
        #expect(
            run.limitProblems.count == 1 && run.limitProblems[0].contains("\(Errno.notFound)"),
            "there is no cgroup.procs"
        )
        try FileManager.default.removeItem(atPath: folder.root)
        #expect(try ScriptPlugin("echo started >&4", group: group).run().output == "started\n")
    }

    /// What is refused when it is entered is told with the step; the next start does without.
    @Test func aGroupThatCannotBeEntered() throws {
        let folder = try StandInGroup()
        let group = try folder.group()
        try folder.link("cgroup.procs", to: "/dev/full")
        let plugin = try ScriptPlugin("echo started >&4", group: group)
        do {
            _ = try plugin.run()
            Issue.record("it was started")
        } catch let error as LaunchError {
            #expect(error.step == "entering its cgroup" && error.errno == Errno(rawValue: ENOSPC))
            #expect(!error.isProgramsFault && !error.isProgramChanged)
        }
        plugin.withoutGroup()
        let run = try plugin.run()
        #expect(run.output == "started\n" && run.status == 0)
    }

    /// Limits that are not in effect are told, and the plugin runs.
    @Test func limitsThatAreRefused() throws {
        let folder = try StandInGroup()
        let group = try folder.group(CgroupLimits(memory: 1 << 20, processes: 5))
        try folder.link("memory.limit_in_bytes", to: "/dev/full")
        try Data().write(to: URL(filePath: "\(folder.root)/elkeid-agent/plugin-script/cgroup.procs"))
        let run = try ScriptPlugin("echo started >&4", group: group).run()
        #expect(run.output == "started\n" && run.limitProblems.count == 2)
        #expect(run.limitProblems.first?.contains("memory.limit_in_bytes") == true)
        #expect(run.limitProblems.last?.contains("pids") == true)
    }

    /// What is wrong with the program is told in the same way, with a group and without.
    @Test(arguments: [false, true])
    func aProgramThatCannotBeExecuted(hasGroup: Bool) throws {
        let folder = try StandInGroup()
        let group = try folder.group()
        try Data().write(to: URL(filePath: "\(folder.root)/elkeid-agent/plugin-script/cgroup.procs"))
        let plugin = try ScriptPlugin("exit 0", group: hasGroup ? group : nil)
        // Replaced after it was looked at.
        try writeScript("exit 9", to: plugin.launch.program)
        do {
            let run = try plugin.run()
            Issue.record("it was started: \(run.status)")
        } catch let error as LaunchError {
            #expect(error.isProgramChanged && error.path == plugin.launch.program, "\(error)")
        }
        #expect(plugin.launch.isProgramChanged)
    }
}
