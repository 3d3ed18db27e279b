// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Configuration
import Console
import Glibc
import Host
import Syscalls
import TLS

/// Doctor's steps on this host, which need neither the agent nor a network.
struct HostChecks {
    let tool: Tool
    var settings: AgentConfiguration { tool.configuration }

    init(tool: Tool) { self.tool = tool }

    // MARK: Configuration

    func configuration() -> [Finding] {
        let path = tool.source.path
        let subject = "configuration"
        do throws(Errno) {
            let loaded = try tool.source.load()
            var findings: [Finding] = []
            if let fallback = loaded.fallback {
                findings.append(
                    .bad(
                        subject,
                        "file",
                        "configuration",
                        fallback,
                        "correct it: elkeid-agent --config \(path) --check-config"
                    )
                )
            } else if !loaded.result.usable {
                findings.append(
                    .bad(
                        subject,
                        "file",
                        "configuration",
                        "\(path) cannot be parsed, and there is no earlier copy",
                        "correct the lines below; the agent does not start with it"
                    )
                )
            }
            for diagnostic in loaded.result.diagnostics {
                let place = diagnostic.line.map { "\(diagnostic.file):\($0)" } ?? diagnostic.file
                let text = "\(place): \(diagnostic.message)"
                findings.append(
                    diagnostic.severity == .error
                        ? .bad(subject, "content", "configuration", text, diagnostic.remedy)
                        : .warning(subject, "content", "configuration", text, diagnostic.remedy)
                )
            }
            if findings.isEmpty { findings.append(.ok(subject, "file", path)) }
            return findings + [identity(subject)]
        } catch {
            return [
                .bad(
                    subject,
                    "file",
                    "configuration",
                    "\(path): \(error)",
                    "put the configuration there, or name another with --config"
                )
            ]
        }
    }

    var identity: AgentIdentity {
        AgentIdentity.determine(
            configured: settings.agent.id,
            keptFiles: ["\(settings.agent.workDirectory)/machine-id", "\(tool.source.folder)/machine-id"]
        )
    }

    private func identity(_ subject: String) -> Finding {
        let identity = identity
        if identity.origin == .random {
            return .warning(
                subject,
                "id",
                "identity",
                "nothing on this host tells it from others: its id is random, and kept in \(settings.agent.workDirectory)/machine-id",
                "give it one with elkeidctl set --id, or make /etc/machine-id"
            )
        }
        return .ok(subject, "id", "\(identity.id) (\(identity.origin))")
    }

    // MARK: Disks

    /// Less than this is too little for a plugin's next version.
    private static let scarce: UInt64 = 64 << 20

    func disks() -> [Finding] {
        let subject = "disk"
        var findings: [Finding] = []
        var seen = Set<UInt64>()
        let paths = [settings.agent.workDirectory, settings.pluginDirectory, settings.agent.logDirectory]
        for path in paths {
            var status = stat()
            var space = statvfs()
            guard unsafe stat(path, &status) == 0, seen.insert(UInt64(status.st_dev)).inserted,
                unsafe statvfs(path, &space) == 0
            else { continue }
            let free = UInt64(space.f_bavail) * UInt64(space.f_frsize)
            let text =
                "\(path): \(Format.bytes(free)) free of \(Format.bytes(UInt64(space.f_blocks) * UInt64(space.f_frsize)))"
            let spool = UInt64(settings.spool.disk)
            if space.f_files > 0 && space.f_favail == 0 {
                findings.append(
                    .bad(
                        subject,
                        "inodes",
                        "disk_full",
                        "\(path): no inode is free",
                        "remove files on that file system"
                    )
                )
            }
            if free < 1 << 20 {
                findings.append(.bad(subject, "space", "disk_full", text, "make room on that file system"))
            } else if free < Self.scarce {
                findings.append(.warning(subject, "space", "disk_scarce", text, "make room on that file system"))
            } else if path == settings.agent.workDirectory && free < spool {
                findings.append(
                    .warning(
                        subject,
                        "space",
                        "disk_scarce",
                        "\(text); the spool may take \(Format.bytes(spool)) of it",
                        "make room, or set `disk` in [spool] lower"
                    )
                )
            } else {
                findings.append(.ok(subject, "space", text))
            }
        }
        return findings
    }

    // MARK: Time

    func time() -> [Finding] {
        let isKept = CLinux_clock_is_kept() == 1
        let now = Format.time(Int64(Glibc.time(nil)))
        if isKept { return [.ok("time", "clock", "\(now), kept by NTP")] }
        return [.note("time", "clock", "\(now); the kernel does not know of an NTP service that keeps it")]
    }

    // MARK: Security modules

    /// Bytes of the end of the audit log that are looked through.
    private static let auditBytes = 4 << 20

    func security() -> [Finding] {
        let subject = "security"
        guard let enforce = try? FileDescriptor.readFile("/sys/fs/selinux/enforce") else {
            return [.ok(subject, "SELinux", "not in use")]
        }
        let isEnforcing = enforce.first == UInt8(ascii: "1")
        let end = FileEnd.of("/var/log/audit/audit.log", limit: Self.auditBytes)
        let denials = SecurityLog.denials(in: String(decoding: end, as: UTF8.self))
        guard let last = denials.last else {
            return [.ok(subject, "SELinux", isEnforcing ? "enforcing; no denial for the agent" : "permissive")]
        }
        return [
            isEnforcing
                ? .bad(
                    subject,
                    "SELinux",
                    "selinux",
                    "\(denials.count) denials for the agent or its plugins, the last: \(last)",
                    "ausearch -m avc -c elkeid-agent | audit2allow -M elkeid && semodule -i elkeid.pp"
                )
                : .warning(
                    subject,
                    "SELinux",
                    "selinux",
                    "permissive, and \(denials.count) things would be denied, the last: \(last)",
                    "make a policy before it is enforced: audit2allow"
                )
        ]
    }
}

/// SELinux' denials, as auditd writes them.
enum SecurityLog {
    static func denials(in log: String) -> [String] {
        log.split(separator: "\n").compactMap { line in
            guard line.contains(text: "elkeid"),
                line.contains(text: "avc:  denied") || line.contains(text: "avc: denied")
            else { return nil }
            return line.range(ofText: "avc:").map { String(line[$0.lowerBound...].prefix(400)) }
        }
    }
}
