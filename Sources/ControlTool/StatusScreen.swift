// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import JSON

/// What plugins are sorted by.
enum PluginOrder: String, CaseIterable {
    case name, cpu, memory, records, drops

    static var words: [String] { allCases.map(\.rawValue) }

    func sorted(_ plugins: [AgentView.Plugin]) -> [AgentView.Plugin] {
        switch self {
        case .name: plugins.sorted { $0.name < $1.name }
        case .cpu: plugins.sorted { ($1.cpu, $0.name) < ($0.cpu, $1.name) }
        case .memory: plugins.sorted { ($1.memory, $0.name) < ($0.memory, $1.name) }
        case .records: plugins.sorted { ($1.recordRate, $0.name) < ($0.recordRate, $1.name) }
        case .drops: plugins.sorted { ($1.drops, $0.name) < ($0.drops, $1.name) }
        }
    }
}

/// The agent's state on one screen.
struct StatusScreen {
    let view: AgentView
    let style: Style
    var order = PluginOrder.name
    /// Columns of a line.
    var width = 100

    /// Labels before what they tell.
    private func line(_ label: String, _ text: String) -> String {
        style(Format.padded(label, -12), .dim) + text
    }

    var lines: [String] { head + [""] + pluginLines + [""] + delivery + problems }

    private var head: [String] {
        let isGood = view.text("state") == "running"
        var lines = [
            line(
                "agent",
                style(view.text("version") ?? "?", .strong) + "  "
                    + style(isGood ? "running" : view.text("state") ?? "?", isGood ? .good : .bad)
                    + "  up \(Format.span(view.number("uptime") ?? 0))  pid \(view.integer("pid"))  CPU "
                    + "\(Format.percent(view.cpu))  memory \(Format.bytes(view.integer("process", "rss")))"
            ),
            line("id", "\(visible(view.text("id") ?? "?"))  (\(view.text("id_origin") ?? "?"))"),
            line("host", "idc \(visible(view.text("idc") ?? "?"))  region \(visible(view.text("region") ?? "?"))"),
        ]
        lines += connection
        lines.append(
            line(
                "throughput",
                "\(Format.rate(view.rate("traffic", "records_sent"))) records/s  "
                    + "\(Format.bytes(view.rate("traffic", "bytes_sent")))/s sent  "
                    + "\(Format.bytes(view.rate("traffic", "bytes_received")))/s received  "
                    + "total \(Format.count(view.integer("traffic", "records_sent"))) records"
            )
        )
        return lines
    }

    private var connection: [String] {
        guard view.isConnected else {
            var text = style(visible(view.text("connection", "text") ?? "?"), .bad)
            if let next = view.number("connection", "next_attempt") { text += "; next attempt in \(Format.span(next))" }
            return [line("server", text)]
        }
        var text = style(visible(view.text("connection", "endpoint") ?? "?"), .good)
        text += "  net_mode \(view.text("connection", "net_mode") ?? "?")"
        text += "  for \(Format.span(view.number("connection", "seconds") ?? 0))"
        text += "  \(view.text("connection", "tls") ?? "")"
        if let compression = view.text("connection", "compression"), compression != "none" {
            text += "  \(compression)"
        }
        guard let end = view.json[["connection", "certificate", "end"]]?.integer else { return [line("server", text)] }
        let left = Double(end) - (view.number("time") ?? 0)
        let tone: Style.Tone = left < 0 ? .bad : left < 30 * 86400 ? .warning : .plain
        text += "  certificate until " + style(Format.date(end), tone)
        return [line("server", text)]
    }

    private struct Column {
        let title: String
        let alignment: TextTable.Alignment
        /// Left out where there is no room for everything.
        let isForWide: Bool
        let cell: (AgentView.Plugin) -> Styled

        init(
            _ title: String,
            _ alignment: TextTable.Alignment = .right,
            isForWide: Bool = false,
            cell: @escaping (AgentView.Plugin) -> Styled
        ) {
            self.title = title
            self.alignment = alignment
            self.isForWide = isForWide
            self.cell = cell
        }
    }

    /// Columns of a terminal in which the whole table has room.
    private static let wide = 104

    private static var columns: [Column] {
        [
            Column("PLUGIN", .left) { Styled(visible($0.name, limit: 30), .strong) },
            Column("VERSION", .left, isForWide: true) { Styled(visible($0.version, limit: 16)) },
            Column("STATE", .left) { Styled($0.state, $0.isRunning ? .good : .bad) },
            Column("PID", isForWide: true) { Styled($0.pid.map { "\($0)" } ?? "-") },
            Column("RESTARTS") { Styled(Format.count($0.restarts), $0.restarts > 0 ? .warning : .plain) },
            Column("CPU") { Styled($0.isRunning ? Format.percent($0.cpu) : "-") },
            Column("MEMORY") { Styled($0.isRunning ? Format.bytes($0.memory) : "-") },
            Column("LIMIT", isForWide: true) { Styled($0.memoryMax.map { Format.bytes($0) } ?? "-") },
            Column("RECORDS/s") { Styled(Format.rate($0.recordRate)) },
            Column("RECORDS", isForWide: true) { Styled(Format.count($0.records)) },
            Column("DROPPED") { Styled(Format.count($0.drops), $0.drops > 0 ? .warning : .plain) },
        ]
    }

    private var pluginLines: [String] {
        let plugins = order.sorted(view.plugins)
        guard !plugins.isEmpty else { return [style("no plugins: the server's configuration names none", .dim)] }
        let columns = Self.columns.filter { !$0.isForWide || width >= Self.wide }
        var table = TextTable(columns.map { ($0.title, $0.alignment) })
        for plugin in plugins { table.add(columns.map { $0.cell(plugin) }) }
        var lines = table.lines(style, width: width)
        for plugin in plugins {
            guard let problem = plugin.problem else {
                if plugin.restarts > 0, let end = plugin.lastEnd {
                    let text = "\(plugin.name): ended \(Format.span(end.ago)) ago: \(end.reason)"
                    lines.append("  " + style(visible(text, limit: max(20, width - 2)), .dim))
                }
                continue
            }
            lines.append("  " + style(visible("\(plugin.name): \(problem)", limit: max(20, width - 2)), .warning))
        }
        return lines
    }

    private var delivery: [String] {
        func count(_ name: String) -> String { Format.count(view.integer("ledger", name)) }
        let drops = view.drops
        let waiting = view.integer("ledger", "queued") + view.integer("ledger", "in_flight")
        var lines = [
            line(
                "records",
                "received \(count("received")) = confirmed \(count("confirmed")) + waiting \(Format.count(waiting)) + spooled "
                    + count("spooled")
            ),
            line(
                "",
                "+ dropped \(style(Format.count(drops), drops > 0 ? .warning : .plain)) + malformed \(count("malformed"))"
                    + superseded + "; sent again \(count("resent"))"
            ),
        ]
        let reasons = dropReasons
        if !reasons.isEmpty { lines.append(line("", reasons)) }
        let bytes = view.integer("spool", "bytes")
        let limit = view.integer("spool", "limit")
        var spool = "\(Format.bytes(bytes)) of \(Format.bytes(limit))"
        if let problem = view.text("spool", "problem") { spool += "  " + style(visible(problem), .bad) }
        lines.append(line("spool", spool))
        return lines
    }

    private var superseded: String {
        let count = view.integer("ledger", "dropped", "superseded")
        return count > 0 ? " + superseded heartbeats \(Format.count(count))" : ""
    }

    private var dropReasons: String {
        guard case .object(let drops)? = view.json[["ledger", "dropped"]] else { return "" }
        return drops.filter { $0.key != "superseded" }.sorted { $0.key < $1.key }
            .map { "\(Self.words($0.key)) \(Format.count($0.value.integer ?? 0))" }.joined(separator: ", ")
    }

    /// Why records were given up.
    private static func words(_ reason: String) -> String {
        switch reason {
        case "stopped": "when the agent stopped"
        case "spool_full": "the spool was full (see disk in [spool])"
        case "memory_full": "there was no spool and memory was full"
        case "damaged": "damaged on the disk"
        case "uncertain": "in memory when the agent was killed, delivered or not"
        default: reason
        }
    }

    private var problems: [String] {
        var lines: [String] = []
        for reason in view.reasons { lines.append(line("abnormal", style(visible(reason), .bad))) }
        let recent = view.problems.prefix(5)
        guard !recent.isEmpty else { return lines }
        lines += ["", style("lately", .dim)]
        for problem in recent {
            let times = problem.count > 1 ? " (\(Format.count(problem.count))×)" : ""
            let plugin = problem.plugin.map { "\($0): " } ?? ""
            let text = "\(Format.time(problem.last))  \(plugin)\(problem.message)\(times)"
            lines.append("  " + style(visible(text, limit: 400), problem.level == "warning" ? .warning : .bad))
            if let remedy = Remedy.of(problem.message, plugin: problem.plugin) {
                lines.append("    " + style("→ \(remedy)", .dim))
            }
        }
        return lines
    }
}
