// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

/// Sends a record every 10 seconds, and answers each task with its own data.
@main
enum Plugin {
    static let recordType: Int32 = 7001
    static let intervalMilliseconds = 10_000

    static func main() {
        do throws(PluginError) {
            try run(try PluginClient())
        } catch .agentGone {
            exit(0)
        } catch {
            PluginLogger(client: nil).error("PLUGIN_NAME: \(error)")
            exit(1)
        }
    }

    static func run(_ client: PluginClient) throws(PluginError) {
        let logger = PluginLogger(client: client)
        var next = milliseconds()
        while true {
            if milliseconds() >= next {
                try client.send(dataType: recordType) { (record) in
                    record.add("pid", getpid())
                }
                next = milliseconds() + intervalMilliseconds
            }
            do throws(PluginError) {
                switch try client.receive(timeoutMilliseconds: next - milliseconds()) {
                case .task(let task):
                    try client.send(dataType: task.dataType, priority: .high) { (record) in
                        record.add("token", task.token)
                        record.add("status", "succeed")
                        record.add("msg", task.data)
                    }
                case .timedOut:
                    break
                case .endOfAgent:
                    try client.flush()
                    return client.close()
                }
            } catch .malformedTask(let reason) {
                logger.error("\(PluginError.malformedTask(reason))")
            }
        }
    }

    static func milliseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
