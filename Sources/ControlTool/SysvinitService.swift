// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Control
import Glibc
import Syscalls

/// Without systemd: elkeidctl starts the agent itself, in cgroups with the limits that the unit has, and cron sees every
/// minute that it runs.
struct SysvinitService: Service {
    static let pidFile = "/var/run/elkeid-agent.pid"
    static let checkLock = "/var/run/elkeidctl.pid"
    static let silentFile = "/var/run/elkeidctl.silent"
    static let cronFile = "/etc/cron.d/elkeid-agent"
    /// For a started agent to hold its lock: it starts within milliseconds on a host that is not overloaded.
    static let startLimit = 10_000
    /// For one that was told to stop, as the unit's TimeoutStopSec.
    static let stopLimit = 30_000
    /// Between two looks, in milliseconds.
    static let poll = 20

    let tool: Tool
    private var groups: HostGroups { HostGroups(folder: tool.source.folder) }

    init(tool: Tool) { self.tool = tool }

    // MARK: The process

    /// The agent's pid, as the kernel knows it: who holds the lock of the pid file or of work_dir. Upstream's agent
    /// locks neither: its pid counts if that process is an elkeid-agent.
    func agentPID() -> Int32? {
        for path in [Self.pidFile, tool.configuration.lockFile] {
            if let holder = try? FileDescriptor.lockHolder(path) { return holder }
        }
        guard let text = try? FileDescriptor.readFile(Self.pidFile),
            let pid = Int32(String(decoding: text.prefix { $0 != 0x0a }, as: UTF8.self)), pid > 0,
            Self.isAgent(pid)
        else { return nil }
        return pid
    }

    /// elkeidctl may be the same file under another name, which the command's name tells.
    private static func isAgent(_ pid: Int32) -> Bool {
        guard let program = linkTarget("/proc/\(pid)/exe")?.split(separator: "/").last,
            let command = try? FileDescriptor.readFile("/proc/\(pid)/comm")
        else { return false }
        return program.hasPrefix(Tool.serviceName) && command.starts(with: Tool.serviceName.utf8)
    }

    private func wait(_ milliseconds: Int, until condition: () -> Bool) -> Bool {
        for _ in 0...(milliseconds / Self.poll) {
            if condition() { return true }
            usleep(UInt32(Self.poll * 1000))
        }
        return condition()
    }

    // MARK: Start

    func start() throws(ToolError) -> Int32 {
        if agentPID() == nil { try launch() }
        try writeCronFile()
        restartCron()
        return 0
    }

    /// The agent beside this program, or where packages put it.
    private var program: String {
        let parts = linkTarget("/proc/self/exe")?.split(separator: "/").dropLast()
        let folder = parts.map { $0.reduce("") { "\($0)/\($1)" } }
        var candidates = folder.map { ["\($0)/elkeid-agent"] } ?? []
        candidates += ["/usr/sbin/elkeid-agent", "\(tool.source.folder)/elkeid-agent"]
        return candidates.first { unsafe access($0, X_OK) == 0 } ?? "/usr/sbin/elkeid-agent"
    }

    private func launch() throws(ToolError) {
        let (entrances, problems) = groups.prepare()
        for problem in problems { tool.complaints.line("elkeidctl: \(problem)") }
        let null: FileDescriptor
        do throws(Errno) { null = try FileDescriptor.open("/dev/null", .readWrite) } catch {
            throw ToolError("/dev/null: \(error)")
        }
        let raw = null.rawValue
        var options = Subprocess.Options(directory: tool.source.folder, environment: environment, isDaemon: true)
        options.entrances = entrances.map(\.descriptor)
        let arguments = ["--config", tool.source.path]
        let pid: Int32
        do throws(ToolError) {
            pid = try Subprocess.start(program, arguments, [raw, raw, raw], options)
        } catch {
            guard !options.entrances.isEmpty else { throw error }
            tool.complaints.line("elkeidctl: \(error); the agent is started without limits")
            options.entrances = []
            pid = try Subprocess.start(program, arguments, [raw, raw, raw], options)
        }
        withExtendedLifetime(entrances) {}
        var status: CInt = 0
        var ended = false
        let isRunning = wait(Self.startLimit) {
            ended = unsafe waitpid(pid, &status, WNOHANG) == pid
            return ended || agentPID() != nil
        }
        if isRunning, !ended { return }
        let how = ended ? "ended at once, with exit code \(status >> 8 & 0xff)" : "does not get ready"
        throw ToolError(
            "\(program) was started and \(how); \"elkeid-agent --config \(tool.source.path)\" in a terminal tells why"
        )
    }

    /// Exactly what specified_env sets and a PATH, as upstream's.
    private var environment: [String] {
        let path = tool.source.specifiedEnvironment
        let text = (try? FileDescriptor.readFile(path)) ?? []
        var values = SpecifiedEnvironment.parse(text: text, file: path).values.mapValues(\.text)
        values["service_type"] = ServiceType.sysvinit.rawValue
        values["PATH"] = Subprocess.path
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }

    // MARK: Stop

    func stop() throws(ToolError) -> Int32 {
        // First, or cron would start it again.
        unsafe _ = unlink(Self.cronFile)
        restartCron()
        if let pid = agentPID() {
            // The agent alone: it ends its plugins itself, and reads what they still have to say.
            _ = kill(pid, SIGTERM)
            if !wait(Self.stopLimit, until: { agentPID() != pid }) {
                tool.complaints.line("elkeidctl: the agent does not end; it is killed")
                _ = kill(pid, SIGKILL)
            }
        }
        let left = groups.processes
        if !left.isEmpty {
            tool.complaints.line("elkeidctl: \(left.count) processes that it has left behind are killed")
            _ = wait(1000) {
                for pid in groups.processes { _ = kill(pid, SIGKILL) }
                return groups.processes.isEmpty
            }
        }
        groups.remove()
        if agentPID() != nil { throw ToolError("the agent cannot be stopped") }
        return 0
    }

    func restart() throws(ToolError) -> Int32 {
        _ = try stop()
        return try start()
    }

    func status() throws(ToolError) -> Int32 {
        guard let pid = agentPID() else {
            tool.output.line("agent is dead")
            return 0
        }
        tool.output.line("agent is running, procs:")
        for process in Set([pid] + groups.processes).sorted() { tool.output.line("\(process)") }
        return 0
    }

    // MARK: cron

    func check() throws(ToolError) -> Int32 {
        do throws(Errno) {
            let lock = try FileDescriptor.open(Self.checkLock, .readWrite, permissions: 0o644)
            // Another check is at it.
            guard try lock.tryOwn() else { return 0 }
            try lock.truncate(to: 0)
            unsafe try lock.writeAll(Array("\(getpid())\n".utf8).span.bytes)
            // Until this process ends.
            _ = lock.release()
        } catch {
            throw ToolError("\(Self.checkLock): \(error)")
        }
        endIfItHangs()
        if agentPID() == nil { try launch() }
        return 0
    }

    /// What systemd's watchdog does: an agent that answers at two checks in a row nothing at all is killed. Which one it was
    /// at the first is remembered in a file.
    private func endIfItHangs() {
        guard let pid = agentPID(), isSilent else {
            unsafe _ = unlink(Self.silentFile)
            return
        }
        let known = try? FileDescriptor.readFile(Self.silentFile)
        guard known == Array("\(pid)\n".utf8) else {
            // Where it cannot be written the next check finds the same: nothing is lost but the watch.
            try? replaceFile(Self.silentFile, Array("\(pid)\n".utf8), permissions: 0o600)
            return
        }
        unsafe _ = unlink(Self.silentFile)
        _ = kill(pid, SIGKILL)
        _ = wait(Self.startLimit) { agentPID() != pid }
    }

    /// It takes a connection, and its loop does not turn.
    private var isSilent: Bool {
        do throws(ControlChannel.Failure) {
            _ = try tool.agentStatus()
            return false
        } catch {
            return error == .noAnswer
        }
    }

    /// The folder that this program is in may be one of upstream's.
    private func writeCronFile() throws(ToolError) {
        let own =
            unsafe access("/usr/sbin/elkeidctl", X_OK) == 0 ? "/usr/sbin/elkeidctl" : "\(tool.source.folder)/elkeidctl"
        let line = "* * * * * root \(own) check\n"
        if let old = try? FileDescriptor.readFile(Self.cronFile), old == Array(line.utf8) { return }
        do throws(Errno) {
            // cron(8) leaves files with a dot in their names alone, such as the new one.
            try replaceFile(Self.cronFile, Array(line.utf8), permissions: 0o600)
        } catch {
            throw ToolError("\(Self.cronFile) cannot be written: \(error); without it nobody starts an agent that died")
        }
    }

    /// Some of them read /etc/cron.d again only then. Its name differs, and one of them may be missing: what they say is
    /// nobody's concern.
    private func restartCron() {
        guard Subprocess.find("service") != nil else { return }
        for name in ["cron", "crond"] where unsafe access("/etc/init.d/\(name)", X_OK) == 0 {
            _ = try? Subprocess.capture("service", [name, "restart"])
        }
    }

    func reloadManager() throws(ToolError) -> Int32 {
        restartCron()
        return 0
    }

    // MARK: Boot

    func enable() throws(ToolError) -> Int32 {
        try change(
            [("update-rc.d", [Tool.serviceName, "defaults"]), ("chkconfig", ["--add", Tool.serviceName])],
            "start at boot"
        )
    }

    func disable() throws(ToolError) -> Int32 {
        try change(
            [("update-rc.d", ["-f", Tool.serviceName, "remove"]), ("chkconfig", ["--del", Tool.serviceName])],
            "not start at boot"
        )
    }

    private func change(_ ways: [(program: String, arguments: [String])], _ what: String) throws(ToolError) -> Int32 {
        guard let way = ways.first(where: { Subprocess.find($0.program) != nil }) else {
            throw ToolError(
                "neither update-rc.d nor chkconfig is installed; let /etc/init.d/elkeid-agent \(what) by hand"
            )
        }
        let code = try Subprocess.run(way.program, way.arguments)
        guard code == 0 else { throw ToolError("\(way.program) ended with exit code \(code)") }
        return 0
    }

    /// Upstream's earlier versions mounted /elkeid-agent, and its cgroups may still hold processes that are not the
    /// agent's: those whose working directory is not below /etc/elkeid.
    func cleanUp() throws(ToolError) -> Int32 {
        let legacy = "/elkeid-agent"
        if unsafe access(legacy, F_OK) == 0 {
            _ = unsafe umount2(legacy, CInt(MNT_DETACH))
            unsafe _ = rmdir(legacy)
        }
        groups.moveStrangersOut(below: ["\(tool.source.folder)/", "\(tool.configuration.agent.workDirectory)/"])
        return 0
    }
}
