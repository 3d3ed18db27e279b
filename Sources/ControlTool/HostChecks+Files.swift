// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Glibc
import Syscalls

// Files that the agent reads and folders that it writes to.
extension HostChecks {
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
}
