// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport

/// The pictures of a report.
enum Plots {
    /// By the names of their files. What was not measured is not drawn.
    static func all(_ report: Report) -> [(name: String, svg: String)] {
        [
            ("cpu-per-byte", costs(report)), ("latency", latencies(report)), ("record-size", sizes(report)),
            ("plugins", plugins(report)), ("compression", compression(report)),
        ].compactMap { name, svg in svg.map { (name, $0) } }
    }

    private static func rows(_ report: Report, _ group: String) -> [Row] { report.rows.filter { $0.group == group } }

    private static func floors(_ report: Report) -> [BarChart.Reference] {
        rows(report, Suite.costGroup).filter { [Suite.naive, Suite.gathered].contains($0.name) }
            .map { BarChart.Reference($0.name, $0.median) }
    }

    private static func bars(_ report: Report, _ group: String, _ title: String, highlights: String? = nil) -> String? {
        let rows = rows(report, group)
        guard !rows.isEmpty else { return nil }
        return BarChart(
            title: title,
            subtitle: report.machine.description,
            quantity: "CPU for each byte of records",
            unit: "ns/byte",
            bars: rows.map { BarChart.Bar($0, isHighlighted: highlights.map($0.name.hasPrefix) ?? true) },
            references: group == Suite.costGroup ? [] : floors(report)
        ).svg
    }

    private static func costs(_ report: Report) -> String? {
        bars(
            report,
            Suite.costGroup,
            "What a byte costs, from the plugin's pipe to the TLS socket",
            highlights: "agent"
        )
    }

    private static func sizes(_ report: Report) -> String? {
        bars(report, "CPU per byte by record size", "What a byte costs, by the size of records")
    }

    private static func plugins(_ report: Report) -> String? {
        bars(report, "CPU per byte by plugins", "What a byte costs, by the number of plugins")
    }

    private static func compression(_ report: Report) -> String? {
        bars(report, "CPU per byte by compression", "What a byte costs, by compression")
    }

    private static func latencies(_ report: Report) -> String? {
        let series = ["0s", "100ms"].flatMap { linger in
            ["p50", "p99"].map { percentile in
                LineChart.Series(
                    "\(percentile), linger \(linger)",
                    Suite.pacedRates.compactMap { rate in
                        report.row("\(rate.name), \(percentile)", group: Suite.latencyGroup(linger))
                            .map { LineChart.Point(Double(rate.perSecond), $0.median) }
                    },
                    isDashed: percentile == "p50"
                )
            }
        }
        guard series.contains(where: { !$0.points.isEmpty }) else { return nil }
        return LineChart(
            title: "From the plugin's write to the server",
            subtitle: report.machine.description,
            x: LineChart.AxisTitle("records a second, one plugin", "1/s", .log10),
            y: LineChart.AxisTitle("latency", "ms", .log10),
            series: series
        ).svg
    }
}
