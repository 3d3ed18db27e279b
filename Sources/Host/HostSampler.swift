// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the host does now.
public struct HostSample: Sendable, Equatable {
    /// Busy part of all processors since the sample before, 0 to 1; of the first sample: since the boot. Waiting for
    /// I/O and stolen time count as busy, as upstream has it.
    public var processorUsage = 0.0
    /// Used part of the memory, 0 to 1: not free, buffers, page cache or reclaimable slabs.
    public var memoryUsage = 0.0
    /// Bytes.
    public var totalMemory: UInt64 = 0
    /// Of the last 1, 5 and 15 minutes, as the kernel writes them.
    public var load1 = "0"
    public var load5 = "0"
    public var load15 = "0"
    public var runningTasks: UInt64 = 0
    public var totalTasks: UInt64 = 0
    /// Processors that this process may run on.
    public var processors = 1
    /// Seconds since 1970.
    public var bootTime: UInt64 = 0

    public init() {}
}

/// Samples the host, remembering the processor times of the sample before.
public struct HostSampler: Sendable {
    /// Samples closer together (seconds) than this have the usage of the first: a few clock ticks say nothing.
    public static let shortestInterval = 1.0
    /// A container whose /proc/uptime is its own (lxcfs) was booted at least so many seconds after its host.
    static let bootTimeTolerance = 2.0
    /// /proc/stat names every interrupt of the machine; the line that matters comes after them.
    private static let statisticsLimit = 1 << 20

    private struct ProcessorTime {
        var busy: UInt64
        var total: UInt64
    }

    private let tree: FileTree
    private var last = ProcessorTime(busy: 0, total: 0)
    private var lastTime = -Double.infinity
    private var lastUsage = 0.0

    public init(tree: FileTree = FileTree()) { self.tree = tree }

    public mutating func sample(at moment: Moment = .now()) -> HostSample {
        var sample = HostSample()
        let statistics = tree.lines("/proc/stat", limit: Self.statisticsLimit)
        sample.processorUsage = processorUsage(statistics, at: moment)
        sample.bootTime = bootTime(statistics, at: moment)
        readMemory(into: &sample)
        readLoad(into: &sample)
        sample.processors = processorCount()
        return sample
    }

    private mutating func processorUsage(_ statistics: [ArraySlice<UInt8>], at moment: Moment) -> Double {
        guard let now = processorTime(statistics) else { return 0 }
        if moment.sinceBoot - lastTime < Self.shortestInterval { return lastUsage }
        // Counters can go back: iowait does, and those of a processor that was taken offline and is back.
        let total = now.total > last.total ? now.total - last.total : 0
        let busy = now.busy > last.busy ? now.busy - last.busy : 0
        lastUsage = total == 0 ? 0 : min(1, Double(busy) / Double(total))
        (last, lastTime) = (now, moment.sinceBoot)
        return lastUsage
    }

    /// user, nice, system, idle, iowait, irq, softirq, steal of proc_stat(5); guest times are in user and nice already.
    private func processorTime(_ statistics: [ArraySlice<UInt8>]) -> ProcessorTime? {
        guard let line = statistics.lazy.compactMap({ $0.dropping(prefix: "cpu ") }).first else { return nil }
        let times = line.words.prefix(8).map { min($0.unsigned ?? 0, 1 << 56) }
        guard times.count >= 4 else { return nil }
        let total = times.reduce(0, +)
        return ProcessorTime(busy: total - times[3], total: total)
    }

    private func bootTime(_ statistics: [ArraySlice<UInt8>], at moment: Moment) -> UInt64 {
        let stated = statistics.lazy.compactMap { $0.dropping(prefix: "btime ")?.trimmed.unsigned }.first
        let uptime = tree.lines("/proc/uptime").first?.words.first.flatMap { Double($0.text) }
        guard let uptime, uptime.isFinite, uptime >= 0, moment.wall > uptime, moment.wall < 1e12 else {
            return stated ?? 0
        }
        let computed = moment.wall - uptime
        if let stated, computed - Double(stated) <= Self.bootTimeTolerance { return stated }
        return UInt64(computed)
    }

    private func readMemory(into sample: inout HostSample) {
        var kibibytes: [String: UInt64] = [:]
        for line in tree.lines("/proc/meminfo") {
            guard let colon = line.firstIndex(of: 0x3a), let value = line[(colon + 1)...].words.first?.unsigned
            else { continue }
            kibibytes[line[..<colon].text] = min(value, 1 << 50)
        }
        guard let total = kibibytes["MemTotal"], total > 0 else { return }
        let unused = ["MemFree", "Buffers", "Cached", "SReclaimable"].reduce(0) { $0 + (kibibytes[$1] ?? 0) }
        sample.totalMemory = total * 1024
        sample.memoryUsage = Double(total - min(total, unused)) / Double(total)
    }

    private func readLoad(into sample: inout HostSample) {
        let words = tree.lines("/proc/loadavg").first?.words ?? []
        guard words.count > 3, words[..<3].allSatisfy({ ServerTyping.isNumber($0.text) }) else { return }
        (sample.load1, sample.load5, sample.load15) = (words[0].text, words[1].text, words[2].text)
        let tasks = words[3].split(separator: 0x2f)
        guard tasks.count == 2 else { return }
        sample.runningTasks = tasks[0].unsigned ?? 0
        sample.totalTasks = tasks[1].unsigned ?? 0
    }

    /// Those that are online and allowed, which is what sched_getaffinity(2) says.
    private func processorCount() -> Int {
        let allowed = tree.lines("/proc/self/status").lazy
            .compactMap { $0.dropping(prefix: "Cpus_allowed_list:") }.first.map { Self.ranges($0.trimmed) }
        let online = tree.lines("/sys/devices/system/cpu/online").first.map { Self.ranges($0.trimmed) }
        guard let first = allowed ?? online else { return 1 }
        let second = online ?? first
        let count = first.reduce(0) { sum, range in
            sum + second.reduce(0) { $0 + range.clamped(to: $1).count }
        }
        return max(1, count)
    }

    /// "0-3,8" as ranges.
    private static func ranges(_ list: ArraySlice<UInt8>) -> [Range<Int>] {
        list.split(separator: 0x2c).compactMap { part in
            let ends = part.split(separator: 0x2d).compactMap { $0.unsigned.map { Int(min($0, 1 << 20)) } }
            guard let low = ends.first, let high = ends.last, low <= high else { return nil }
            return low..<(high + 1)
        }
    }
}
