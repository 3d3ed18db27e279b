// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import ProcessCollector

/// The plugin `process-collector`: reads the processes of this host and sends them to the agent.
@main
enum ProcessCollectorMain {
    /// Exit status: 0 at the end of the agent, 1 for a failure, 2 when not started by an agent.
    static func main() {
        let client: PluginClient
        do throws(PluginError) {
            client = try PluginClient()
        } catch {
            log("\(error)")
            exit(2)
        }
        do throws(ScanError) {
            let collector = Collector(client: client, scanner: try ProcessScanner(), options: options(), log: log)
            exit(collector.run())
        } catch {
            log("\(error)")
            exit(1)
        }
    }

    /// A bad `DETAIL` is reported, and the defaults are used.
    private static func options() -> CollectorOptions {
        let detail = unsafe getenv("DETAIL").map { unsafe String(cString: $0) } ?? ""
        do throws(CollectorOptions.DetailError) {
            return try CollectorOptions(detail: detail)
        } catch {
            log("\(error); using the defaults")
            return CollectorOptions()
        }
    }

    /// One line on standard error, which the agent keeps in the plugin's folder.
    private static func log(_ text: String) {
        let line = Array("process-collector: \(text)\n".utf8)
        _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
