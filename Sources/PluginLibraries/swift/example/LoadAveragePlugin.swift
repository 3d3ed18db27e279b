// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

/// The data types of this plugin, as agreed with the server.
enum DataType {
    static let load: Int32 = 7200
    static let echo: Int32 = 7201
    static let interval: Int32 = 7202
    static let summary: Int32 = 7203
    /// The result of a task that the plugin does not know; the same number for all plugins.
    static let taskResult: Int32 = 5100
}

/// The example plugin: sends the load of this host every second, and answers tasks.
@main
struct LoadAveragePlugin {
    let client: PluginClient
    let logger: PluginLogger
    var intervalMilliseconds = 1000
    var sent = 0

    static func main() {
        do throws(PluginError) {
            let client = try PluginClient()
            var plugin = LoadAveragePlugin(client: client, logger: PluginLogger(client: client))
            try plugin.run()
        } catch .agentGone {
            // The agent ended without a word; there is nobody to report to.
            exit(0)
        } catch {
            PluginLogger(client: nil).error("loadavg: \(error)")
            exit(1)
        }
    }

    /// One loop does everything: it waits for a task until the next record is due.
    mutating func run() throws(PluginError) {
        var nextRecord = milliseconds()
        while true {
            let wait = nextRecord - milliseconds()
            if wait <= 0 {
                try sendLoad()
                nextRecord += intervalMilliseconds
                // After a pause, such as a suspended host, records that are overdue are not made up for.
                nextRecord = max(nextRecord, milliseconds())
                continue
            }
            do throws(PluginError) {
                switch try client.receive(timeoutMilliseconds: wait) {
                case .task(let task):
                    if try perform(task) { nextRecord = milliseconds() + intervalMilliseconds }
                case .timedOut:
                    break
                case .endOfAgent:
                    return try finish()
                }
            } catch .malformedTask(let reason) {
                // The next call goes on behind it.
                logger.error("\(PluginError.malformedTask(reason))")
            }
        }
    }

    /// At the end of the agent or after SIGTERM: one last record. `flush` and not just `close`, to hear of a failure.
    func finish() throws(PluginError) {
        try client.send(dataType: DataType.summary) { (record) in
            record.add("sent", sent)
        }
        try client.flush()
        client.close()
    }

    mutating func sendLoad() throws(PluginError) {
        // Such as "0.10 0.20 0.30 1/234 5678": three averages, running/total, the newest process.
        let words = readLoadAverage().split(whereSeparator: { $0 == " " || $0 == "/" })
        guard words.count >= 5 else {
            logger.error("cannot read /proc/loadavg: is /proc mounted?")
            return
        }
        try client.send(dataType: DataType.load) { (record) in
            record.add("load_1", String(words[0]))
            record.add("load_5", String(words[1]))
            record.add("load_15", String(words[2]))
            record.add("running", String(words[3]))
            record.add("total", String(words[4]))
        }
        sent += 1
    }

    // MARK: Tasks

    /// - Returns: whether the interval has changed.
    mutating func perform(_ task: PluginTask) throws(PluginError) -> Bool {
        switch task.dataType {
        case DataType.echo:
            // High priority: overtakes what waits in the agent, where somebody waits for the answer.
            try client.send(dataType: DataType.echo, priority: .high) { (record) in
                record.add("token", task.token)
                record.add("status", "succeed")
                record.add("msg", task.data)
                record.add("language", "swift")
            }
            return false
        case DataType.interval:
            guard let interval = Int(task.data), 100...3_600_000 ~= interval else {
                let reason = "the interval must be 100 to 3600000 milliseconds, not \"\(task.data)\""
                try answer(task, dataType: DataType.interval, status: "failed", message: reason)
                return false
            }
            intervalMilliseconds = interval
            let message = "interval is \(interval) ms"
            try answer(task, dataType: DataType.interval, status: "succeed", message: message)
            return true
        default:
            let reason = "unknown data type \(task.dataType)"
            try answer(task, dataType: DataType.taskResult, status: "failed", message: reason)
            return false
        }
    }

    /// The server recognizes the answer by the task's token.
    func answer(
        _ task: PluginTask,
        dataType: Int32,
        status: String,
        message: String
    ) throws(PluginError) {
        try client.send(dataType: dataType) { (record) in
            record.add("token", task.token)
            record.add("status", status)
            record.add("msg", message)
        }
    }
}

/// The text of /proc/loadavg; empty when it cannot be read.
func readLoadAverage() -> String {
    let descriptor = unsafe open("/proc/loadavg", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 128)
    let count = unsafe bytes.withUnsafeMutableBytes { (room) in unsafe read(descriptor, room.baseAddress, room.count) }
    return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
}

/// Time that only goes forwards: the time of day may jump.
func milliseconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
