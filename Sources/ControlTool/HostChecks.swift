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
    private var settings: AgentConfiguration { tool.configuration }

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

    // MARK: Files

    func files() -> [Finding] {
        let subject = "files"
        var findings: [Finding] = []
        let tls = settings.tls
        for (what, key, path) in [
            ("authority", "ca", tls.ca), ("certificate", "certificate", tls.certificate),
            ("key", "private_key", tls.privateKey),
        ] {
            findings.append(readable(subject, what, key, path))
        }
        if let exposed = exposure(subject, "key", tls.privateKey, isSecret: true) { findings.append(exposed) }
        if let exposed = exposure(subject, "config", tool.source.path, isSecret: false) { findings.append(exposed) }
        for (what, path) in [
            ("work_dir", settings.agent.workDirectory), ("log_dir", settings.agent.logDirectory),
            ("plugins", settings.pluginDirectory),
        ] {
            findings.append(writable(subject, what, path))
        }
        return findings
    }

    private func readable(_ subject: String, _ what: String, _ key: String, _ path: String) -> Finding {
        if unsafe access(path, R_OK) == 0 { return .ok(subject, what, path) }
        let error = Errno.current
        if error == .notFound {
            return .bad(
                subject,
                what,
                "missing_file",
                "\(path) is missing",
                "put the file there, or set `\(key)` in [tls]"
            )
        }
        return .bad(subject, what, "permissions", "\(path): \(error)", "let root read it, or run elkeidctl as root")
    }

    /// Who else can read a secret, or change what root trusts?
    private func exposure(_ subject: String, _ what: String, _ path: String, isSecret: Bool) -> Finding? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        let others = status.st_mode & (isSecret ? 0o077 : 0o022)
        let mode = String(status.st_mode & 0o7777, radix: 8)
        if others != 0 {
            return .bad(
                subject,
                what,
                "permissions",
                "\(path) has mode \(mode): others can \(isSecret ? "read or change" : "change") it",
                "chmod \(isSecret ? "600" : "644") \(path)"
            )
        }
        guard status.st_uid != 0, geteuid() == 0 else { return nil }
        return .warning(
            subject,
            what,
            "permissions",
            "\(path) belongs to user \(status.st_uid), not to root",
            "chown root: \(path)"
        )
    }

    /// By writing: a file system that is read-only or out of space says so only then.
    private func writable(_ subject: String, _ what: String, _ path: String) -> Finding {
        guard unsafe access(path, F_OK) == 0 else {
            return .note(subject, what, "\(path) does not exist yet; the agent makes it")
        }
        let probe = "\(path)/.elkeidctl-doctor"
        defer { unsafe _ = unlink(probe) }
        do throws(Errno) {
            let file = try FileDescriptor.open(probe, .truncate)
            let block = [UInt8](repeating: 0x65, count: 64 << 10)
            unsafe try file.writeAll(block.span.bytes)
            try file.syncData()
            return .ok(subject, what, path)
        } catch {
            switch error.rawValue {
            case ENOSPC, EDQUOT:
                return .bad(
                    subject,
                    what,
                    "disk_full",
                    "\(path): \(error)",
                    "make room on that file system, or move it elsewhere in agent.conf"
                )
            case EACCES, EPERM:
                return .bad(
                    subject,
                    what,
                    "permissions",
                    "\(path) cannot be written: \(error)",
                    geteuid() == 0 ? "chown root: \(path); look for SELinux denials below" : "run elkeidctl as root"
                )
            case EROFS:
                return .bad(
                    subject,
                    what,
                    "read_only",
                    "\(path): \(error)",
                    "mount it for writing; dmesg tells whether its disk has failed"
                )
            default: return .bad(subject, what, "disk", "\(path) cannot be written: \(error)", "look at dmesg")
            }
        }
    }

    // MARK: Certificates

    /// Before its end a certificate is worth a warning.
    private static let notice: Int64 = 30 * 86_400

    func certificates() -> [Finding] {
        let subject = "certificates"
        let tls = settings.tls
        let files = [tls.ca, tls.certificate, tls.privateKey]
        guard files.allSatisfy({ unsafe access($0, R_OK) == 0 }) else { return [] }
        var findings: [Finding] = []
        for (what, path) in [("authority", tls.ca), ("certificate", tls.certificate)] {
            do throws(TLSError) {
                findings.append(validity(subject, what, path, try TLSCertificate(file: path)))
            } catch {
                findings.append(
                    .bad(subject, what, "certificate_file", "\(error)", "replace it by the one of your deployment")
                )
            }
        }
        do throws(TLSError) {
            _ = try TLSContext(
                role: .client,
                files: .init(authority: tls.ca, certificate: tls.certificate, privateKey: tls.privateKey)
            )
            findings.append(.ok(subject, "key", "fits the certificate"))
        } catch {
            findings.append(
                .bad(subject, "key", "certificate_file", "\(error)", "use the key that belongs to \(tls.certificate)")
            )
        }
        return findings
    }

    private func validity(_ subject: String, _ what: String, _ path: String, _ certificate: TLSCertificate) -> Finding {
        let now = Int64(time_t(Glibc.time(nil)))
        let name = "\(path) (\(certificate.subject))"
        if let begin = certificate.begin, now < begin {
            return .bad(
                subject,
                what,
                "clock",
                "\(name) is valid from \(Format.time(begin)) on, and this host's clock says \(Format.time(now))",
                "set this host's clock; if it is right, wait or replace the certificate"
            )
        }
        guard let end = certificate.end else { return .ok(subject, what, name) }
        if now > end {
            return .bad(
                subject,
                what,
                "certificate_expired",
                "\(name) ended on \(Format.time(end)); this host's clock says \(Format.time(now))",
                "renew it, or set this host's clock if that is wrong"
            )
        }
        if end - now < Self.notice {
            return .warning(subject, what, "certificate_ends", "\(name) ends on \(Format.time(end))", "renew it before")
        }
        return .ok(subject, what, "\(name) until \(Format.date(end))")
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
        let denials = denials()
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

    private func denials() -> [String] {
        guard let file = try? FileDescriptor.open("/var/log/audit/audit.log", .read) else { return [] }
        let size = (try? file.size()) ?? 0
        _ = lseek(file.rawValue, off_t(max(0, size - Self.auditBytes)), SEEK_SET)
        var bytes: [UInt8] = []
        while bytes.count < Self.auditBytes {
            let before = bytes.count
            guard (try? file.readChunk(appendingTo: &bytes, capacity: 64 << 10)) != nil, bytes.count > before else {
                break
            }
        }
        return SecurityLog.denials(in: String(decoding: bytes, as: UTF8.self))
    }
}

/// SELinux' denials, as auditd writes them.
enum SecurityLog {
    static func denials(in log: String) -> [String] {
        log.split(separator: "\n").compactMap { line in
            guard line.contains("avc:  denied") || line.contains("avc: denied"), line.contains("elkeid") else {
                return nil
            }
            return line.firstRange(of: "avc:").map { String(line[$0.lowerBound...].prefix(400)) }
        }
    }
}
