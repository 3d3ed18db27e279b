// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls

/// What the kernel says of a process (proc(5)).
struct ProcessFigures: Equatable {
    /// In user mode and in the kernel, of all its threads.
    var processorSeconds = 0.0
    /// In which one of its threads ran or waited for a processor: on a busy host, more than it got.
    var wantedSeconds = 0.0
    /// Bytes.
    var resident = 0
    var residentPeak = 0
    var addressSpacePeak = 0
    /// How often one of its threads went to sleep by itself.
    var sleeps = 0

    /// Nil when the process is gone.
    init?(_ pid: Int32) {
        guard let stat = StatLine(pid), let status = text("/proc/\(pid)/status") else { return nil }
        processorSeconds = stat.processorSeconds
        resident = Self.kibibytes("VmRSS", status) ?? 0
        residentPeak = Self.kibibytes("VmHWM", status) ?? 0
        addressSpacePeak = Self.kibibytes("VmPeak", status) ?? 0
        for thread in folderNames("/proc/\(pid)/task") {
            let own = text("/proc/\(pid)/task/\(thread)/status") ?? ""
            sleeps += Self.number("voluntary_ctxt_switches", own) ?? 0
            let schedule = text("/proc/\(pid)/task/\(thread)/schedstat") ?? ""
            wantedSeconds += schedule.split(separator: " ").prefix(2).reduce(0) { $0 + (Double($1) ?? 0) / 1e9 }
        }
    }

    private static func number(_ name: String, _ status: String) -> Int? {
        for line in status.split(separator: "\n") where line.hasPrefix("\(name):") {
            let value = line.dropFirst(name.count + 1).split { $0 == " " || $0 == "\t" }.first
            return value.flatMap { Int($0) }
        }
        return nil
    }

    private static func kibibytes(_ name: String, _ status: String) -> Int? { number(name, status).map { $0 * 1024 } }

    /// The processes of a group.
    static func members(ofGroup group: Int32) -> [Int32] {
        folderNames("/proc").compactMap { Int32($0) }.filter { StatLine($0)?.group == group }
    }
}

/// /proc/PID/stat.
struct StatLine: Equatable {
    let state: Character
    let group: Int32
    let processorSeconds: Double

    init?(_ pid: Int32) {
        // The name in parentheses may contain anything, so what is behind the last one counts.
        guard let line = text("/proc/\(pid)/stat"), let close = line.lastIndex(of: ")") else { return nil }
        let fields = line[line.index(after: close)...].split(separator: " ")
        guard fields.count > 12, let state = fields[0].first, let group = Int32(fields[2]),
            let user = Double(fields[11]),
            let system = Double(fields[12])
        else { return nil }
        self.state = state
        self.group = group
        processorSeconds = (user + system) / Double(sysconf(CInt(_SC_CLK_TCK)))
    }

    /// It has ended and waits to be reaped, or is gone.
    static func hasEnded(_ pid: Int32) -> Bool {
        guard let line = StatLine(pid) else { return true }
        return line.state == "Z" || line.state == "X"
    }
}

private func text(_ path: String) -> String? {
    (try? FileDescriptor.readFile(path)).map { String(decoding: $0, as: UTF8.self) }
}

private func folderNames(_ path: String) -> [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { tuple in
            unsafe tuple.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        }
        if !name.hasPrefix(".") { names.append(name) }
    }
    return names
}
