// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Cgroups
import Glibc
import Syscalls

/// Sees to it that the guard runs until the upgrade is over, whatever kills it, and after a reboot: a unit of its own for
/// systemd, else a file for cron. Both are outside of the agent's service and its limits, and go with the upgrade.
struct GuardSupervisor {
    static let unit = "elkeid-upgrade.service"
    private static let unitFile = "/etc/systemd/system/\(unit)"
    private static let wantedBy = "/etc/systemd/system/multi-user.target.wants"
    private static let cronFile = "/etc/cron.d/elkeid-upgrade"

    let folder: UpgradeFolder

    private var command: String { "\(folder.guardProgram) \(UpgradeGuard.argument) \(folder.path)" }

    /// sd_booted(3)
    static var hasSystemd: Bool { unsafe access("/run/systemd/system", F_OK) == 0 }

    /// Installs it.
    ///
    /// - Returns: whether the guard is started by it; else the caller has to be the guard.
    func install() throws(Errno) -> Bool {
        guard Self.hasSystemd else {
            if unsafe access("/etc/cron.d", W_OK) == 0 {
                try replaceFile(Self.cronFile, Array("* * * * * root \(command)\n".utf8), permissions: 0o600)
            }
            return false
        }
        let text = """
            # For the time of an upgrade of the Elkeid agent, which removes it.
            [Unit]
            Description=Upgrade of the Elkeid agent
            [Service]
            ExecStart=\(command)
            Restart=on-failure
            RestartForceExitStatus=SIGTERM SIGINT SIGHUP
            RestartSec=1s
            StartLimitInterval=0
            [Install]
            WantedBy=multi-user.target

            """
        try replaceFile(Self.unitFile, Array(text.utf8), permissions: 0o644)
        // After a reboot.
        try FileDescriptor.makeDirectories(Self.wantedBy, permissions: 0o755)
        if unsafe symlink(Self.unitFile, "\(Self.wantedBy)/\(Self.unit)") != 0, errno != EEXIST { throw Errno.current }
        guard HostProgram("systemctl", ["daemon-reload"]).run(limit: 60).isSuccess else { return false }
        return HostProgram("systemctl", ["start", "--no-block", Self.unit]).run(limit: 60).isSuccess
    }

    func remove() {
        unsafe _ = unlink(Self.cronFile)
        guard unsafe access(Self.unitFile, F_OK) == 0 else { return }
        unsafe _ = unlink("\(Self.wantedBy)/\(Self.unit)")
        unsafe _ = unlink(Self.unitFile)
        Self.reloadUnits()
    }

    static func reloadUnits() {
        if hasSystemd { _ = HostProgram("systemctl", ["daemon-reload"]).run(limit: 60) }
    }

    /// Leaves the agent's cgroups for the roots of their hierarchies, where no systemd has done that.
    static func leaveGroups() {
        guard !hasSystemd, let mounts = CgroupFiles.read("/proc/self/mountinfo") else { return }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 1, fields.count > 4,
                fields[dash + 1].hasPrefix("cgroup")
            else { continue }
            // One that does not take us is not ours to leave.
            try? CgroupFiles.write("\(getpid())", to: "\(fields[4])/cgroup.procs")
        }
    }
}
