// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a process uses.
public struct ProcessSample: Sendable, Equatable {
    public var pid: Int32
    /// Processor time since the sample before, in processors (more than 1 with several threads); 0 in the first one.
    public var cpu = 0.0
    /// Processor time since the process began, in seconds.
    public var cpuTime = 0.0
    /// Resident memory in bytes.
    public var residentBytes: UInt64 = 0
    /// Bytes per second from and to storage since the sample before; in the first one: since the process began.
    public var readSpeed = 0.0
    public var writeSpeed = 0.0
    /// Seconds since 1970.
    public var startTime: UInt64 = 0
    public var openDescriptors = 0

    public init(pid: Int32) { self.pid = pid }
}

/// Samples one process, remembering its counters of the sample before. A process that took over the pid begins anew:
/// it is known by its start time.
public struct ProcessSampler: Sendable {
    /// Samples closer together (seconds) than this have the rates of the first: a few clock ticks say nothing.
    public static let shortestInterval = 1.0
    /// Counting descriptors ends here, on kernels that do not keep the count.
    static let descriptorLimit = 16_384

    private struct Counters {
        var identity: UInt64
        var time: Double
        var ticks: UInt64
        var read: UInt64
        var written: UInt64
    }

    private struct Rates {
        var cpu = 0.0
        var read = 0.0
        var write = 0.0
    }

    public let pid: Int32
    private let tree: FileTree
    private let ticksPerSecond: Double
    private let pageSize: UInt64
    private var last: Counters?
    private var rates = Rates()
    private var startTime: UInt64 = 0

    /// - Parameters:
    ///   - ticksPerSecond: of the times in /proc/<pid>/stat; this kernel's where nil.
    ///   - pageSize: in bytes; this kernel's where nil.
    public init(
        pid: Int32,
        tree: FileTree = FileTree(),
        ticksPerSecond: Int? = nil,
        pageSize: Int? = nil
    ) {
        self.pid = pid
        self.tree = tree
        self.ticksPerSecond = Double(max(1, ticksPerSecond ?? sysconf(CInt(_SC_CLK_TCK))))
        self.pageSize = UInt64(max(1, pageSize ?? sysconf(CInt(_SC_PAGESIZE))))
    }

    /// nil when there is no such process, or only its remains (a zombie).
    public mutating func sample(at moment: Moment = .now()) -> ProcessSample? {
        guard let status = readStatus() else {
            last = nil
            return nil
        }
        let (read, written) = readStorageCounters()
        update(
            Counters(
                identity: status.start,
                time: moment.sinceBoot,
                ticks: status.ticks,
                read: read,
                written: written
            ),
            wall: moment.wall
        )
        var sample = ProcessSample(pid: pid)
        sample.cpu = rates.cpu
        sample.cpuTime = Double(status.ticks) / ticksPerSecond
        sample.readSpeed = rates.read
        sample.writeSpeed = rates.write
        sample.startTime = startTime
        let pages = tree.lines("/proc/\(pid)/statm").first?.words.dropFirst().first?.unsigned ?? 0
        sample.residentBytes = min(pages, 1 << 40) * pageSize
        sample.openDescriptors = tree.entryCount("/proc/\(pid)/fd", limit: Self.descriptorLimit)
        return sample
    }

    private mutating func update(_ now: Counters, wall: Double) {
        guard let last, last.identity == now.identity else { return begin(now, wall: wall) }
        let elapsed = now.time - last.time
        if elapsed < Self.shortestInterval { return }
        rates.cpu = Self.rate(from: last.ticks, to: now.ticks, in: elapsed * ticksPerSecond)
        rates.read = Self.rate(from: last.read, to: now.read, in: elapsed)
        rates.write = Self.rate(from: last.written, to: now.written, in: elapsed)
        self.last = now
    }

    private mutating func begin(_ now: Counters, wall: Double) {
        let started = Double(now.identity) / ticksPerSecond
        let age = max(now.time - started, Self.shortestInterval)
        rates = Rates(cpu: 0, read: Double(now.read) / age, write: Double(now.written) / age)
        // The same rounding as upstream's: whole seconds of the boot, then the ticks.
        let start = (wall - now.time).rounded(.down) + started
        startTime = start > 0 && start < 1e12 ? UInt64(start) : 0
        last = now
    }

    /// Counters only grow; one that did not is not trusted.
    private static func rate(from last: UInt64, to now: UInt64, in elapsed: Double) -> Double {
        now > last ? Double(now - last) / elapsed : 0
    }

    /// Processor time and start of proc_pid_stat(5), in ticks.
    private func readStatus() -> (ticks: UInt64, start: UInt64)? {
        guard let bytes = tree.bytes("/proc/\(pid)/stat"),
            // The name in parentheses may hold anything, also parentheses.
            let end = bytes.lastIndex(of: 0x29)
        else { return nil }
        let fields = bytes[(end + 1)...].words
        guard fields.count > 19, let state = fields[0].first, state != 0x5a, state != 0x58,
            let user = fields[11].unsigned, let system = fields[12].unsigned, let start = fields[19].unsigned
        else { return nil }
        return (user &+ system, start)
    }

    /// read_bytes and write_bytes of proc_pid_io(5), which only root and the owner may read.
    private func readStorageCounters() -> (read: UInt64, written: UInt64) {
        var result: (read: UInt64, written: UInt64) = (0, 0)
        for line in tree.lines("/proc/\(pid)/io") {
            if let value = line.dropping(prefix: "read_bytes:") { result.read = value.trimmed.unsigned ?? 0 }
            if let value = line.dropping(prefix: "write_bytes:") { result.written = value.trimmed.unsigned ?? 0 }
        }
        return result
    }
}
