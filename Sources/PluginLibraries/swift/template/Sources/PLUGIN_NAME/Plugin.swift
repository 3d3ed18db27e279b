// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc

@main
enum Plugin {
    /// Agree your own numbers with whoever runs the server.
    static let recordType: Int32 = 7000
    static let taskType: Int32 = 7001
    /// What servers take as the answer to any task.
    static let answerType: Int32 = 5100
    static let intervalMilliseconds = 10_000

    static func main() {
        let client: PluginClient
        do throws(PluginError) { client = try PluginClient() } catch {
            PluginLogger(client: nil).error("PLUGIN_NAME: \(error)")
            exit(1)
        }
        let logger = PluginLogger(client: client)
        do throws(PluginError) {
            try run(client, logger)
            // Says whether the last records were taken.
            try client.flush()
        } catch .agentGone {
            exit(0)
        } catch {
            logger.error("PLUGIN_NAME ends: \(error)")
            // Writes what is buffered; `exit` alone does not.
            client.close()
            exit(1)
        }
        client.close()
    }

    /// Looks at the time first, so that many tasks do not hold up a record. Returns at the agent's end.
    static func run(_ client: PluginClient, _ logger: PluginLogger) throws(PluginError) {
        var next = milliseconds()
        while true {
            let now = milliseconds()
            if now >= next {
                try client.send(dataType: recordType) { (record) in
                    record.add("pid", getpid())
                }
                next += intervalMilliseconds
                // What a pause has left out is not made up for.
                if next <= now { next = now + intervalMilliseconds }
                continue
            }
            let received: TaskReception
            do throws(PluginError) {
                received = try client.receive(timeoutMilliseconds: next - now)
            } catch {
                switch error {
                case .malformedTask, .incompleteTask:
                    // The next task can be received, or the end.
                    logger.warning("\(error)")
                    continue
                default:
                    throw error
                }
            }
            switch received {
            case .task(let task): try answer(task, client)
            case .timedOut: break
            case .endOfAgent: return
            }
        }
    }

    /// The server knows by the token which task this answers.
    static func answer(_ task: PluginTask, _ client: PluginClient) throws(PluginError) {
        let isKnown = task.dataType == taskType
        try client.send(dataType: answerType) { (record) in
            record.add("token", task.token)
            record.add("status", isKnown ? "succeed" : "failed")
            record.add("msg", isKnown ? task.data : "unknown data type \(task.dataType)")
        }
    }

    static func milliseconds() -> Int {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
