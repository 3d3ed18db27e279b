// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Delivery
import JSON

/// The agent's figures in Prometheus' text format, version 0.0.4.
enum Metrics {
    /// Nobody answers.
    static let down = """
        # HELP elkeid_agent_up Whether the agent answers.
        # TYPE elkeid_agent_up gauge
        elkeid_agent_up 0

        """

    static func text(_ status: JSONValue) -> String {
        var writer = Writer()
        let view = AgentView(status)
        writer.gauge("up", "Whether the agent answers.", 1)
        writer.gauge(
            "info",
            "The agent's version and id.",
            1,
            [
                ("version", view.text("version") ?? ""), ("id", view.text("id") ?? ""), ("idc", view.text("idc") ?? ""),
                ("region", view.text("region") ?? ""),
            ]
        )
        writer.gauge("uptime_seconds", "Since the agent was started.", view.number("uptime") ?? 0)
        writer.gauge("abnormal", "Whether the agent's state is abnormal.", view.text("state") == "running" ? 0 : 1)
        let upgrade = view.text("upgrade") ?? "none"
        for (state, isSo) in [
            ("none", upgrade == "none"), ("refused", upgrade == "refused"), ("waiting", upgrade == "waiting"),
            ("under_way", !["none", "refused", "waiting"].contains(upgrade)),
        ] {
            writer.gauge(
                "upgrade",
                "How far the agent is with becoming the version that the server wants: 1 for the state that it is in.",
                isSo ? 1 : 0,
                [("state", state)]
            )
        }
        connection(view, &writer)
        writer.counter("cpu_seconds_total", "Processor time of the agent.", view.number("process", "cpu_seconds") ?? 0)
        writer.gauge("resident_memory_bytes", "Resident memory of the agent.", view.number("process", "rss") ?? 0)
        writer.gauge("open_fds", "Open descriptors of the agent.", view.number("process", "descriptors") ?? 0)
        writer.gauge(
            "loop_longest_turn_seconds",
            "The longest time that the agent's loop was busy without a pause.",
            (view.number("loop", "longest_turn_us") ?? 0) / 1e6
        )
        ledger(status["ledger"], "", [], &writer)
        writer.gauge("spool_bytes", "Bytes that wait on the disk.", view.number("spool", "bytes") ?? 0)
        writer.gauge("spool_limit_bytes", "Bytes that may wait on the disk.", view.number("spool", "limit") ?? 0)
        writer.gauge("spool_failed", "Whether the spool cannot be used.", view.text("spool", "problem") == nil ? 0 : 1)
        plugins(view.plugins, &writer)
        return writer.text
    }

    private static func connection(_ view: AgentView, _ writer: inout Writer) {
        writer.gauge(
            "connected",
            "Whether records are sent to a server.",
            view.isConnected ? 1 : 0,
            [
                ("endpoint", view.text("connection", "endpoint") ?? ""),
                ("net_mode", view.text("connection", "net_mode") ?? "unknown"),
            ]
        )
        writer.counter("connections_total", "Streams that servers took.", view.number("traffic", "connections") ?? 0)
        writer.counter("sent_bytes_total", "Bytes sent to servers.", view.number("traffic", "bytes_sent") ?? 0)
        writer.counter("received_bytes_total", "Bytes of servers.", view.number("traffic", "bytes_received") ?? 0)
        writer.counter("sent_records_total", "Records sent, again or not.", view.number("traffic", "records_sent") ?? 0)
        writer.counter("commands_total", "Commands of servers.", view.number("traffic", "commands_received") ?? 0)
        if let end = view.json[["connection", "certificate", "end"]]?.number {
            writer.gauge("server_certificate_end_seconds", "When the server's certificate ends, since 1970.", end)
        }
    }

    private static func ledger(
        _ ledger: JSONValue?,
        _ prefix: String,
        _ labels: [(String, String)],
        _ writer: inout Writer
    ) {
        for (name, help) in [
            ("received", "Records of plugins and the agent."), ("confirmed", "Records that a server has."),
            ("malformed", "Records that were none."), ("resent", "Records sent again after a connection broke."),
        ] {
            writer.counter("\(prefix)records_\(name)_total", help, ledger?[name]?.number ?? 0, labels)
        }
        for (name, help) in [
            ("queued", "Records in memory that wait."), ("in_flight", "Records sent and not confirmed."),
            ("spooled", "Records that wait on the disk."),
        ] {
            writer.gauge("\(prefix)records_\(name)", help, ledger?[name]?.number ?? 0, labels)
        }
        // All reasons from the beginning: a counter that comes into being with its first value has no increase.
        for reason in DropReason.allCases {
            writer.counter(
                "\(prefix)records_dropped_total",
                "Records that were given up.",
                ledger?[["dropped", reason.rawValue]]?.number ?? 0,
                labels + [("reason", reason.rawValue)]
            )
        }
    }

    private static func plugins(_ plugins: [AgentView.Plugin], _ writer: inout Writer) {
        for plugin in plugins {
            let labels = [("plugin", plugin.name)]
            func gauge(_ name: String, _ help: String, _ value: Double?) {
                if let value { writer.gauge("plugin_\(name)", help, value, labels) }
            }
            func counter(_ name: String, _ help: String, _ value: Double?) {
                if let value { writer.counter("plugin_\(name)_total", help, value, labels) }
            }
            writer.gauge(
                "plugin_up",
                "Whether the plugin runs.",
                plugin.isRunning ? 1 : 0,
                labels + [("version", plugin.version)]
            )
            counter("restarts", "Starts after an end that nobody asked for.", Double(plugin.restarts))
            counter(
                "cpu_seconds",
                "Processor time of the plugin's process.",
                (plugin.json[["cgroup", "cpu_seconds"]] ?? plugin.json[["process", "cpu_seconds"]])?.number
            )
            gauge("memory_bytes", "Memory of the plugin.", plugin.isRunning ? Double(plugin.memory) : nil)
            gauge("memory_limit_bytes", "Memory that the plugin may use.", plugin.memoryMax.map { Double($0) })
            counter("record_bytes", "Bytes that the plugin has written.", plugin.json["record_bytes"]?.number)
            counter("tasks", "Tasks that were written to the plugin.", plugin.json["tasks"]?.number)
            ledger(plugin.json["ledger"], "plugin_", labels, &writer)
        }
    }

    /// Samples, those of one metric together, as the format wants them.
    private struct Writer {
        private var order: [String] = []
        private var metrics: [String: (help: String, type: String, lines: [String])] = [:]

        var text: String {
            var text = ""
            for name in order {
                guard let metric = metrics[name] else { continue }
                text += "# HELP \(name) \(metric.help)\n# TYPE \(name) \(metric.type)\n"
                text += metric.lines.joined()
            }
            return text
        }

        mutating func gauge(_ name: String, _ help: String, _ value: Double, _ labels: [(String, String)] = []) {
            add(name, help, "gauge", value, labels)
        }

        mutating func counter(_ name: String, _ help: String, _ value: Double, _ labels: [(String, String)] = []) {
            add(name, help, "counter", value, labels)
        }

        private mutating func add(
            _ name: String,
            _ help: String,
            _ type: String,
            _ value: Double,
            _ labels: [(String, String)]
        ) {
            let name = "elkeid_agent_\(name)"
            if metrics[name] == nil {
                order.append(name)
                metrics[name] = (help, type, [])
            }
            let shown = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
            let number = value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
            metrics[name]?.lines.append("\(name)\(shown.isEmpty ? "" : "{\(shown)}") \(number)\n")
        }

        private static func escaped(_ text: String) -> String {
            var result = ""
            for character in text.unicodeScalars {
                switch character {
                case "\\": result += "\\\\"
                case "\"": result += "\\\""
                case "\n": result += "\\n"
                default: result.unicodeScalars.append(character)
                }
            }
            return result
        }
    }
}
