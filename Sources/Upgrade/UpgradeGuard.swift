// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import Glibc
import JSON
import Syscalls

/// Carries one upgrade of the agent out, as a process of its own that is the old version's program: installs the package,
/// restarts the service, watches whether the new version is good, and goes back if it is not. What it does next is in the
/// state file before it does it, so that it can be killed at any moment and go on.
///
/// ```
/// prepared ─▶ installing ─▶ starting ─▶ watching ─▶ succeeded
///                  │            │           │
///                  └────────────┴───────────┴─▶ returning ─▶ restarting ─▶ undone
/// ```
public struct UpgradeGuard: ~Copyable {
    public static let argument = "upgrade-guard"
    /// Makes a copy of the program, and has it run as the guard outside of the agent's service.
    public static let launchArgument = "--launch"

    /// Seconds for which the locks of other package managers are waited for.
    private static let lockLimit = 600
    /// How often a phase is begun again after it was interrupted, before the way back is taken.
    private static let attemptLimit: Int64 = 5
    /// Seconds for the old version to answer again.
    private static let returnLimit: Int64 = 120

    private let folder: UpgradeFolder
    private var state: UpgradeState
    private let log: UpgradeLog
    /// By this process; nil when another one has done it.
    private var restartedAt: Int64?

    /// The process's life.
    ///
    /// - Parameter arguments: [`launchArgument`] and the folder of upgrades.
    public static func run(_ arguments: [String]) -> Never {
        let isLaunch = arguments.first == launchArgument
        guard let path = arguments.last, path.hasPrefix("/") else {
            complain("the agent starts this, to upgrade itself")
            exit(2)
        }
        let folder = UpgradeFolder(path: path)
        guard let state = folder.state else {
            complain("no upgrade is under way in \(path)")
            GuardSupervisor(folder: folder).remove()
            exit(0)
        }
        let log = UpgradeLog(path: state.logFile)
        if isLaunch {
            do throws(Errno) {
                // One that is there is the old version's; this may be the new one by now.
                if unsafe access(folder.guardProgram, X_OK) != 0 {
                    let program = "\(folder.guardProgram).new"
                    try SavedFiles.copyFile("/proc/self/exe", to: program, permissions: 0o700)
                    try FileDescriptor.rename(program, to: folder.guardProgram)
                }
                let trial = HostProgram(folder.guardProgram, ["--version"]).run(limit: 30)
                guard trial.isSuccess else {
                    var state = state
                    state.reason = "programs in \(folder.path) cannot be executed: \(trial.end)"
                    state.isPutOff = true
                    state.enter(.undone)
                    try folder.write(state)
                    exit(1)
                }
                if try GuardSupervisor(folder: folder).install() { exit(0) }
            } catch {
                log.line("the guard cannot be supervised, and goes on alone: \(error)")
            }
            // Without systemd, this process is it. As the copy, since its own program is about to be replaced.
            GuardSupervisor.leaveGroups()
            let command = [folder.guardProgram, argument, path]
            unsafe withCStrings(command) { argv in
                if let argv = unsafe argv { unsafe _ = execv(folder.guardProgram, argv) }
            }
            log.line("\(folder.guardProgram) cannot be executed: \(Errno.current)")
            exit(1)
        }
        GuardSupervisor.leaveGroups()
        do throws(Errno) {
            let lock = try FileDescriptor.open(folder.lockFile, .readWrite)
            // Another one is at it.
            guard try lock.tryOwn() else { exit(0) }
            // Until this process ends.
            _ = lock.release()
        } catch {
            complain("\(folder.lockFile): \(error)")
            exit(1)
        }
        var this = UpgradeGuard(folder: folder, state: state, log: log)
        this.carryOut()
        exit(0)
    }

    private static func complain(_ text: String) {
        let line = Array("elkeid-agent \(argument): \(text)\n".utf8)
        unsafe line.withUnsafeBytes { bytes in unsafe _ = write(2, bytes.baseAddress, bytes.count) }
    }

    private init(folder: UpgradeFolder, state: UpgradeState, log: UpgradeLog) {
        self.folder = folder
        self.state = state
        self.log = log
    }

    // MARK: Phases

    private mutating func enter(_ phase: UpgradeState.Phase) {
        state.enter(phase)
        keep()
    }

    /// Counts it before it is done: it may be what this process does not survive.
    private mutating func begin() {
        state.attempts += 1
        keep()
        log.line("\(state.phase.rawValue)\(state.attempts > 1 ? ", attempt \(state.attempts)" : "")")
    }

    /// Nothing may be done that the file does not say: on a full disk this waits.
    private func keep() {
        while true {
            do throws(Errno) { return try folder.write(state) } catch {
                log.line("\(folder.stateFile) cannot be written: \(error); tried again in 5 s")
                sleep(5)
            }
        }
    }

    private mutating func carryOut() {
        while true {
            switch state.phase {
            case .prepared: prepare()
            case .installing: install()
            case .starting: start()
            case .watching: watch()
            case .returning: goBack()
            case .restarting: restartOld()
            case .succeeded, .undone: return tidy()
            }
        }
    }

    private mutating func turnBack(_ reason: String) {
        state.reason = reason
        log.line("version \(state.to) is taken back: \(reason)")
        enter(.returning)
    }

    /// Nothing has been touched, and the package is not to blame.
    private mutating func putOff(_ reason: String) {
        state.reason = reason
        state.isPutOff = true
        log.line("the upgrade is put off: \(reason)")
        enter(.undone)
    }

    /// Keeps the means of return.
    private mutating func prepare() {
        log.line("upgrade from \(state.from) to \(state.to)")
        noteOld()
        do throws(PackageProblem) {
            try SavedFiles(folder: folder.savedFiles).save(installedFiles())
        } catch {
            return putOff(error.description)
        }
        enter(.installing)
    }

    /// How the old version is, as long as it can be asked: the new one has to be the same.
    private mutating func noteOld() {
        for _ in 0..<3 {
            guard let report = report() else {
                sleep(1)
                continue
            }
            guard report.version == state.from else { return }
            state.wasConnected = report.isConnected
            state.plugins = report.running
            return
        }
    }

    private func installedFiles() throws(PackageProblem) -> [String] {
        let result = state.kind.listing.run(limit: 60)
        let files = result.text.split(separator: "\n").map(String.init).filter { $0.hasPrefix("/") }
        guard result.isSuccess, !files.isEmpty else {
            throw PackageProblem("the installed package's files cannot be listed: \(result.end)")
        }
        return files
    }

    private mutating func install() {
        if state.attempts >= Self.attemptLimit { return turnBack("its installation was interrupted again and again") }
        begin()
        guard waitForLock() else {
            let reason = "another package manager has been at work for \(Self.lockLimit) s"
            // An earlier attempt may have begun.
            return state.attempts == 1 ? putOff(reason) : turnBack(reason)
        }
        let result = runPackageManager(folder.newPackage(state.kind))
        if result.isSuccess { return enter(.starting) }
        turnBack("it cannot be installed: \(result.end)")
    }

    private func runPackageManager(_ package: String) -> HostProgram.Result {
        if let repair = state.kind.repair, state.attempts > 1 { log.result(repair, runExclusively(repair)) }
        let installation = state.kind.installation(of: package)
        let result = runExclusively(installation)
        log.result(installation, result)
        return result
    }

    private func waitForLock() -> Bool {
        for second in 0..<Self.lockLimit {
            guard let holder = state.kind.lockHolder else { return true }
            if second == 0 { log.line("process \(holder) installs packages; waiting for it") }
            sleep(1)
        }
        return state.kind.lockHolder == nil
    }

    /// Its scripts do not restart the service: this process does.
    private func runExclusively(_ program: HostProgram) -> HostProgram.Result {
        var program = program
        program.additions = ["ELKEID_SELF_UPGRADE=1"]
        _ = waitForLock()
        var result = program.run()
        // Somebody was faster.
        for _ in 0..<6 where !result.isSuccess && result.text.contains(text: "lock") && state.kind.lockHolder != nil {
            sleep(10)
            result = program.run()
        }
        return result
    }

    private mutating func start() {
        if state.attempts >= Self.attemptLimit { return turnBack("its start was interrupted again and again") }
        if state.attempts == 0 { noteOld() }
        begin()
        restartedAt = Self.milliseconds
        if state.isForeign { enableForeign() } else { restartService() }
        enter(.watching)
    }

    private func restartService() {
        // Whatever the new version's own elkeidctl would do: this one is known.
        let control = HostProgram(folder.guardProgram, ["--config", state.configuration, "restart"])
        log.result(control, control.run(calledBy: "elkeidctl", limit: 120))
    }

    private mutating func watch() {
        if state.attempts >= Self.attemptLimit { return turnBack("its first minutes were interrupted again and again") }
        begin()
        // Counted anew after a reboot, which may have taken its time.
        let deadline = Self.milliseconds + state.limit * 1000
        if state.isForeign { return watchForeign(until: deadline) }
        var verdict = Verdict(version: state.to, wasConnected: state.wasConnected, plugins: state.plugins)
        while true {
            let isGood = verdict.take(report(), at: Self.milliseconds / 1000)
            if verdict.isWell, state.gap == nil, let restartedAt {
                let gap = Self.milliseconds - restartedAt
                state.gap = gap
                log.line("all plugins run again \(gap) ms after the order to restart")
            }
            if isGood { return enter(.succeeded) }
            if Self.milliseconds >= deadline {
                return turnBack("it was not good within \(state.limit) s: \(verdict.missing)")
            }
            usleep(verdict.isWell || state.gap != nil ? 1_000_000 : 100_000)
        }
    }

    /// Another agent cannot be asked how it is: its program has to run.
    private mutating func watchForeign(until deadline: Int64) {
        var since: Int64?
        while true {
            let now = Self.milliseconds
            since = foreignRuns ? since ?? now : nil
            if let since, now - since >= Verdict.settle * 1000 { return enter(.succeeded) }
            if now >= deadline { return turnBack("\(Self.foreignFolder)/elkeid-agent does not run") }
            usleep(500_000)
        }
    }

    /// Where the original agent has its programs.
    private static let foreignFolder = "/etc/elkeid"

    private var foreignRuns: Bool {
        let entries = (try? FileDescriptor.open("/proc", .directory).entries()) ?? []
        return entries.contains { entry in
            guard let pid = entry.text.flatMap(Int32.init) else { return false }
            return linkTarget("/proc/\(pid)/exe") == "\(Self.foreignFolder)/elkeid-agent"
        }
    }

    /// What its scripts leave out when they take our package for its own older version.
    private func enableForeign() {
        let type = GuardSupervisor.hasSystemd ? "systemd" : "sysvinit"
        for arguments in [["set", "--service_type=\(type)"], ["enable"], ["service-reload"], ["restart"]] {
            let control = HostProgram("\(Self.foreignFolder)/elkeidctl", arguments)
            log.result(control, control.run(limit: 120))
        }
    }

    /// Since an unknown moment of this boot.
    private static var milliseconds: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    private func report() -> AgentReport? {
        do throws(ControlChannel.Failure) {
            var channel = try ControlChannel(path: state.controlSocket, milliseconds: 2000)
            return AgentReport(status: try channel.ask(ControlRequest("status")))
        } catch {
            return nil
        }
    }

    private mutating func goBack() {
        begin()
        keepEvidence()
        let package = folder.package(state.from, state.kind)
        if unsafe access(package, R_OK) == 0, state.attempts <= Self.attemptLimit {
            let result = runPackageManager(package)
            if result.isSuccess { return enter(.restarting) }
            state.complaint = "the package of \(state.from) cannot be installed: \(result.end)"
        } else {
            state.complaint =
                "the files of \(state.from) are back, but the package manager goes on listing \(state.to): install a package when there is a good one"
        }
        do throws(PackageProblem) {
            try SavedFiles(folder: folder.savedFiles).restore()
            GuardSupervisor.reloadUnits()
        } catch {
            state.complaint += "; \(error)"
        }
        log.line(state.complaint)
        enter(.restarting)
    }

    /// The new version's last words.
    private func keepEvidence() {
        do throws(Errno) {
            try FileDescriptor.makeDirectories(folder.failed)
            let parts = state.logFile.split(separator: "/").dropLast().joined(separator: "/")
            for name in ["elkeid-agent.log", "elkeid-upgrade.log"] where unsafe access("/\(parts)/\(name)", R_OK) == 0 {
                try SavedFiles.copyFile("/\(parts)/\(name)", to: "\(folder.failed)/\(name)", permissions: 0o600)
            }
            // What it said before it had a log: systemd has it.
            let journal = HostProgram(
                "journalctl",
                ["--no-pager", "--output", "short-iso", "--lines", "1000", "--unit", "elkeid-agent"]
            )
            if GuardSupervisor.hasSystemd, journal.isInstalled {
                try replaceFile(
                    "\(folder.failed)/journal.txt",
                    Array(journal.run(limit: 30).text.utf8),
                    permissions: 0o600
                )
            }
            for name in state.plugins {
                let said = "\(state.pluginDirectory)/\(name)/\(name).stderr"
                guard unsafe access(said, R_OK) == 0 else { continue }
                try SavedFiles.copyFile(said, to: "\(folder.failed)/\(name).stderr", permissions: 0o600)
            }
        } catch {
            log.line("the logs cannot be copied to \(folder.failed): \(error)")
        }
    }

    private mutating func restartOld() {
        begin()
        // It may never have been stopped.
        if report()?.version != state.from {
            restartService()
            let end = Self.milliseconds + Self.returnLimit * 1000
            while report()?.version != state.from, Self.milliseconds < end { usleep(500_000) }
            if report()?.version != state.from {
                state.complaint += "\(state.complaint.isEmpty ? "" : "; ")version \(state.from) does not answer"
            }
        }
        var bad = folder.bad
        bad.mark(version: state.to, sha256: state.sha256, state.reason)
        do throws(Errno) { try folder.write(bad) } catch { log.line("\(folder.badFile) cannot be written: \(error)") }
        enter(.undone)
    }

    /// Leaves what the next upgrade can go back to.
    private func tidy() {
        log.line(
            state.phase == .succeeded
                ? "version \(state.to) is good"
                : "version \(state.from) is back\(state.complaint.isEmpty ? "" : "; \(state.complaint)")"
        )
        let new = folder.newPackage(state.kind)
        if state.phase == .succeeded {
            // The one before is not gone back to any more.
            unsafe _ = unlink(folder.package(state.from, state.kind))
            try? FileDescriptor.rename(new, to: folder.package(state.to, state.kind))
        } else {
            unsafe _ = unlink(new)
        }
        try? SavedFiles.remove(folder.savedFiles)
        GuardSupervisor(folder: folder).remove()
        unsafe _ = unlink(folder.guardProgram)
    }
}
