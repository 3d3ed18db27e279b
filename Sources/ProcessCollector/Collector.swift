// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidPlugin
import Glibc

/// The data types that the collector uses.
public enum CollectorDataType {
    /// A process; as a task: read all processes now.
    public static let process: Int32 = 5050
    /// The result of a task: `token`, `status` ("succeed" or "failed") and `msg`.
    public static let taskResult: Int32 = 5100
}

/// Sends all processes of this host at the start, then at each interval, and whenever a task asks for it.
public struct Collector: ~Copyable {
    private let client: PluginClient
    private let options: CollectorOptions
    private var scanner: ProcessScanner
    private let log: (String) -> Void

    /// - Parameters:
    ///   - client: where records go and tasks come from; closed by `run`.
    ///   - scanner: where processes are read.
    ///   - options: the interval.
    ///   - log: takes one line for each problem.
    public init(
        client: PluginClient,
        scanner: consuming ProcessScanner,
        options: CollectorOptions,
        log: @escaping (String) -> Void
    ) {
        self.client = client
        self.scanner = scanner
        self.options = options
        self.log = log
    }

    /// Works until the agent ends or wants the plugin to end.
    /// - Returns: the exit status: 0 then, 1 when the pipes fail for another reason.
    public consuming func run() -> CInt {
        defer { client.close() }
        do throws(PluginError) {
            try sweepOrLog()
            var nextSweep = Self.monotonicMilliseconds + options.intervalSeconds * 1000
            while true {
                let wait = max(0, nextSweep - Self.monotonicMilliseconds)
                switch try nextTask(timeoutMilliseconds: wait) {
                case .task(let task)?:
                    try perform(task)
                case .timedOut?:
                    nextSweep = Self.monotonicMilliseconds + options.intervalSeconds * 1000
                    try sweepOrLog()
                case .endOfAgent?:
                    return 0
                case nil:
                    continue
                }
            }
        } catch .agentGone {
            return 0
        } catch {
            log("\(error)")
            return 1
        }
    }

    /// Nil for a task that could not be decoded, which is logged.
    private func nextTask(timeoutMilliseconds: Int) throws(PluginError) -> TaskReception? {
        do throws(PluginError) {
            return try client.receive(timeoutMilliseconds: timeoutMilliseconds)
        } catch .malformedTask(let reason) {
            log("\(PluginError.malformedTask(reason))")
            return nil
        }
    }

    private mutating func perform(_ task: PluginTask) throws(PluginError) {
        guard task.dataType == CollectorDataType.process else {
            return try report(task, failure: "the data_type hasn't been implemented")
        }
        do throws(SweepError) {
            try sweep()
        } catch {
            switch error {
            case .scan(let error): return try report(task, failure: "\(error)")
            case .plugin(let error): throw error
            }
        }
        try report(task, failure: nil)
    }

    private func report(_ task: PluginTask, failure: String?) throws(PluginError) {
        try client.send(dataType: CollectorDataType.taskResult) { (record) in
            record.add("token", task.token)
            record.add("status", failure == nil ? "succeed" : "failed")
            record.add("msg", failure ?? "")
        }
    }

    // MARK: Sweeps

    private enum SweepError: Error {
        case scan(ScanError)
        case plugin(PluginError)
    }

    private mutating func sweepOrLog() throws(PluginError) {
        do throws(SweepError) {
            try sweep()
        } catch {
            switch error {
            case .scan(let error): log("\(error)")
            case .plugin(let error): throw error
            }
        }
    }

    /// Sends every process once, all with the same `package_seq`.
    private mutating func sweep() throws(SweepError) {
        let sequence = Self.newSequence()
        let pids: [pid_t]
        do throws(ScanError) {
            pids = try scanner.processIdentifiers()
        } catch {
            throw .scan(error)
        }
        for pid in pids where scanner.load(pid) {
            do throws(PluginError) {
                try client.send(dataType: CollectorDataType.process) { (record) in
                    scanner.write(to: &record)
                    record.add("package_seq", bytes: sequence)
                }
            } catch {
                throw .plugin(error)
            }
        }
    }

    /// 8 hex digits that differ from sweep to sweep: FNV-1, 32 bits, of the time in nanoseconds, as the original's.
    private static func newSequence() -> [UInt8] {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let nanoseconds = UInt64(bitPattern: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
        var hash: UInt32 = 2_166_136_261
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            hash = hash &* 16_777_619 ^ UInt32(nanoseconds >> shift & 0xFF)
        }
        return Array(hexDigits(UInt64(hash), count: 8))
    }

    private static var monotonicMilliseconds: Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
    }
}
