// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console

/// What a center has seen at one moment, and how fast that grew since the moment before.
public struct Figures: Sendable {
    public var elapsed: Double
    public var agents: Int
    public var statistics: Statistics
    public var networkBytes: UInt64
    public var recordsPerSecond: Double
    public var bytesPerSecond: Double
    public var latest: LatestRecord?

    /// `seconds` passed since `before`.
    public init(
        elapsed: Double,
        agents: Int,
        statistics: Statistics,
        networkBytes: UInt64,
        latest: LatestRecord?,
        before: Statistics,
        seconds: Double
    ) {
        self.elapsed = elapsed
        self.agents = agents
        self.statistics = statistics
        self.networkBytes = networkBytes
        self.latest = latest
        let divisor = max(seconds, 0.001)
        recordsPerSecond = Double(statistics.records - before.records) / divisor
        bytesPerSecond = Double(statistics.bytes - before.bytes) / divisor
    }

    /// "5050: 1,200  1000: 1", the most frequent first.
    public func types(limit: Int) -> [(type: Int32, count: UInt64)] {
        let sorted = statistics.types.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        return sorted.prefix(limit).map { (type: $0.key, count: $0.value) }
    }

    /// One line for those who log.
    public func line(width: Int) -> String {
        let types = types(limit: 8).map { "\($0.type):\(Format.count($0.count))" }.joined(separator: " ")
        var text = "\(Format.count(UInt64(elapsed.rounded())))s  agents \(agents)  records "
        text += "\(Format.count(statistics.records)) (\(Format.rate(recordsPerSecond))/s)  "
        text += "\(Format.bytes(Double(statistics.bytes))) (\(Format.bytes(bytesPerSecond))/s)  \(types)"
        if let latest { text += "  last \(RecordText.line(latest.bytes, limit: 120))" }
        return text
    }

    /// The table, each line at most `columns` wide.
    public func table(columns: Int, rows: Int) -> [String] {
        var lines = [
            "agents \(agents)   streams \(statistics.streams)   refused \(statistics.refused)   "
                + "uploads \(statistics.uploads)   unreadable messages \(statistics.malformed)",
            "",
            Self.row("", "total", "per second"),
            Self.row("records", Format.count(statistics.records), Format.rate(recordsPerSecond)),
            Self.row("bytes of records", Format.bytes(Double(statistics.bytes)), Format.bytes(bytesPerSecond)),
            Self.row("bytes of network", Format.bytes(Double(networkBytes)), ""),
            Self.row("messages", Format.count(statistics.messages), ""),
            "",
        ]
        let types = types(limit: max(1, rows - lines.count - 5))
        for entry in types { lines.append(Self.row("data type \(entry.type)", Format.count(entry.count), "")) }
        if statistics.types.count > types.count { lines.append("… \(statistics.types.count - types.count) more types") }
        lines.append("")
        if let latest {
            lines.append("last record, of \(visible(latest.agentID, limit: 40)):")
            lines.append(RecordText.line(latest.bytes, limit: columns))
        } else {
            lines.append("no record yet")
        }
        return lines.map { $0.count > columns ? String($0.prefix(columns)) : $0 }
    }

    private static func row(_ name: String, _ total: String, _ rate: String) -> String {
        Format.padded(name, -20) + Format.padded(total, 16) + Format.padded(rate, 16)
    }

    public var json: JSONText {
        var object = JSONText()
        object.add("time", Clock.secondsSince1970())
        object.add("elapsed", Int(elapsed.rounded()))
        object.add("agents", agents)
        object.add("records", statistics.records)
        object.add("records_per_second", Int(recordsPerSecond.rounded()))
        object.add("bytes", statistics.bytes)
        object.add("bytes_per_second", Int(bytesPerSecond.rounded()))
        object.add("network_bytes", networkBytes)
        object.add("messages", statistics.messages)
        object.add("unreadable_messages", statistics.malformed)
        object.add("streams", statistics.streams)
        object.add("refused", statistics.refused)
        object.add("uploads", statistics.uploads)
        var types = JSONText()
        for entry in self.types(limit: .max) { types.add("\(entry.type)", entry.count) }
        object.add("types", types)
        if let latest { object.add("last", RecordText.json(latest.bytes)) }
        return object
    }
}
