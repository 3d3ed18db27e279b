// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Control
import Glibc
import Host
import JSON
import Syscalls

extension Tool {
    /// Bytes of the end of a log.
    private static let logBytes = 4 << 20
    private static let errorBytes = 256 << 10

    func bundle(_ invocation: Invocation) throws(ToolError) -> Int32 {
        let now = Int64(time(nil))
        let stamp = Format.time(now).filter { $0 != ":" && $0 != "-" }.split(separator: " ").joined(separator: "-")
        let name = "elkeid-\(Self.hostName)-\(stamp)"
        let path = invocation["--output"] ?? "\(name).tar.gz"
        let archive = try TarArchive(path: path, folder: name)
        do throws(ToolError) {
            for (name, bytes) in bundleFiles() { try archive.add(name, bytes, at: now) }
            try archive.finish()
        } catch {
            unsafe _ = unlink(path)
            throw error
        }
        output.line(
            "\(path): look through it before you give it away; keys, passwords and plugins' details are left out"
        )
        return 0
    }

    private static var hostName: String {
        let text = (try? FileDescriptor.readFile("/proc/sys/kernel/hostname")) ?? []
        let name = String(decoding: text.prefix { $0 != 0x0a }, as: UTF8.self)
        return String(name.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "." ? $0 : "_" })
    }

    private func bundleFiles() -> [(String, [UInt8])] {
        var files: [(String, [UInt8])] = []
        func add(_ name: String, _ bytes: [UInt8]) { if !bytes.isEmpty { files.append((name, bytes)) } }
        func add(_ name: String, _ text: String) { add(name, Array(text.utf8)) }

        add("versions.txt", "elkeidctl \(version)\n")
        if let status = try? agentStatus() { add("status.json", Secrets.removed(from: status).encoded) }
        var report = ""
        let findings = examine(offline: false, seconds: 5) { finding in
            report += finding.subject + "\n"
            for line in finding.lines(Style(isColoured: false)) { report += line + "\n" }
        }
        add("doctor.txt", Secrets.removed(from: report))
        add("doctor.json", Secrets.removed(from: .array(findings.map(\.json))).encoded)
        for (name, path) in [
            ("agent.conf", source.path), ("specified_env", source.specifiedEnvironment),
            ("os-release", "/etc/os-release"),
            ("resolv.conf", "/etc/resolv.conf"), ("proc/meminfo", "/proc/meminfo"), ("proc/loadavg", "/proc/loadavg"),
            ("proc/version", "/proc/version"), ("proc/cgroups", "/proc/cgroups"), ("proc/mounts", "/proc/mounts"),
            ("cron", SysvinitService.cronFile),
        ] {
            guard let text = try? FileDescriptor.readFile(path) else { continue }
            add(name, Secrets.removed(from: String(decoding: text, as: UTF8.self)))
        }
        let agent = configuration.agent
        add("log/elkeid-agent.log", tail("\(agent.logDirectory)/elkeid-agent.log", Self.logBytes))
        add("log/elkeid-upgrade.log", tail("\(agent.logDirectory)/elkeid-upgrade.log", Self.logBytes))
        for name in ["state.json", "bad.json"] {
            guard let text = try? FileDescriptor.readFile("\(agent.workDirectory)/upgrade/\(name)") else { continue }
            add("upgrade/\(name)", Secrets.removed(from: String(decoding: text, as: UTF8.self)))
        }
        for plugin in folders(configuration.pluginDirectory) {
            add(
                "plugins/\(plugin).stderr",
                tail("\(configuration.pluginDirectory)/\(plugin)/\(plugin).stderr", Self.errorBytes)
            )
        }
        if let text = try? FileDescriptor.readFile("\(agent.workDirectory)/components.json", limit: 16 << 20),
            let state = try? JSONValue(parsing: text, maximumSize: 16 << 20)
        {
            add("components.json", Secrets.removed(from: state).encoded)
        }
        for (name, program, arguments) in commands {
            guard let result = try? Subprocess.capture(program, arguments) else { continue }
            add(name, Secrets.removed(from: result.text))
        }
        return files
    }

    private var commands: [(String, String, [String])] {
        let agent = configuration.agent
        let runtime = agent.controlSocket.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
        return [
            ("systemd/show.txt", "systemctl", ["show", "--no-pager", Self.serviceName]),
            ("systemd/unit.txt", "systemctl", ["cat", "--no-pager", Self.serviceName]),
            ("systemd/journal.txt", "journalctl", ["--no-pager", "-n", "2000", "-u", Self.serviceName]),
            ("files/configuration.txt", "ls", ["-lanR", source.folder]),
            ("files/state.txt", "ls", ["-lan", agent.workDirectory, agent.logDirectory, runtime]),
            ("disk.txt", "df", ["-h"]), ("network/addresses.txt", "ip", ["address"]),
            ("network/routes.txt", "ip", ["route"]), ("network/sockets.txt", "ss", ["-tanpx"]),
            ("processes.txt", "ps", ["-eo", "pid,ppid,pgid,user,stat,etime,time,rss,cgroup,comm"]),
        ]
    }

    private func folders(_ path: String) -> [String] {
        let entries = (try? FileDescriptor.open(path, .directory).entries()) ?? []
        return entries.filter { $0.kind == .directory }.compactMap(\.text).sorted()
    }

    /// The end of a file; its secrets left out.
    private func tail(_ path: String, _ limit: Int) -> [UInt8] {
        Array(Secrets.removed(from: String(decoding: FileEnd.of(path, limit: limit), as: UTF8.self)).utf8)
    }
}

/// What must not leave the host.
enum Secrets {
    private static let words = ["password", "passwd", "secret", "token"]

    /// Credentials in URLs, what follows a word such as "password" and a sign, and private keys.
    static func removed(from text: String) -> String {
        var isInKey = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            if line.contains(text: "-----BEGIN") && line.contains(text: "PRIVATE KEY") { isInKey = true }
            defer { if line.contains(text: "-----END") { isInKey = false } }
            return isInKey ? "(a private key)" : withoutAssignments(withoutCredentials(String(line)))
        }.joined(separator: "\n")
    }

    /// "//user:password@host", and without the slashes as proxies may be written, keeps its user.
    private static func withoutCredentials(_ line: String) -> String {
        guard line.contains(text: "@") else { return line }
        let ends: Set<Character> = [" ", "\t", "\"", "'", ",", ";", "(", ")", "<", ">", "="]
        var result = ""
        var rest = line[...]
        while !rest.isEmpty {
            let word = rest.prefix { !ends.contains($0) }
            result += masked(word)
            rest = rest[word.endIndex...]
            if let end = rest.popFirst() { result.append(end) }
        }
        return result
    }

    private static func masked(_ word: Substring) -> String {
        let start = word.range(ofText: "//")?.upperBound ?? word.startIndex
        guard let at = word[start...].lastIndex(of: "@"), let colon = word[start..<at].firstIndex(of: ":") else {
            return String(word)
        }
        return "\(word[...colon])***\(word[at...])"
    }

    private static func withoutAssignments(_ line: String) -> String {
        let lowered = line.lowercased()
        guard lowered.count == line.count, words.contains(where: { lowered.contains(text: $0) }) else { return line }
        var characters = Array(line)
        let lower = Array(lowered)
        for word in words.map(Array.init) {
            var start = 0
            while start + word.count < lower.count {
                guard lower[start..<(start + word.count)].elementsEqual(word) else {
                    start += 1
                    continue
                }
                start += word.count
                var index = start
                while index < lower.count, "\"\\ ".contains(lower[index]) { index += 1 }
                guard index < lower.count, lower[index] == "=" || lower[index] == ":" else { continue }
                index += 1
                while index < lower.count, "\"\\ ".contains(lower[index]) { index += 1 }
                while index < lower.count, !"\", }".contains(lower[index]) {
                    characters[index] = "*"
                    index += 1
                }
            }
        }
        return String(characters)
    }

    /// In every text of it. `detail` is the plugin's own, and may be a password.
    static func removed(from value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members):
            var kept: [String: JSONValue] = [:]
            for (name, member) in members {
                kept[name] = name == "detail" ? .string("(left out)") : removed(from: member)
            }
            return .object(kept)
        case .array(let items): return .array(items.map { removed(from: $0) })
        case .string(let text): return .string(removed(from: text))
        default: return value
        }
    }
}
