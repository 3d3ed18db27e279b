// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console

/// What is said at the end.
public struct Summary: Equatable, Sendable {
    /// Records that reached the center.
    public var arrived: UInt64
    /// What the agent said, for a demonstration.
    public var agent: AgentLedger?

    public init(arrived: UInt64, agent: AgentLedger?) {
        self.arrived = arrived
        self.agent = agent
    }

    /// Records that should be here: without those that the agent refused as malformed, and without the heartbeats of
    /// broken connections, which fresh ones replaced.
    private var expected: Int64 {
        agent.map { $0.received - $0.malformed - ($0.dropped["superseded"] ?? 0) } ?? 0
    }

    /// Records that the agent had taken and that are not here.
    public var lost: Int64 { agent == nil ? 0 : max(0, expected - Int64(arrived)) }

    /// Records that came more than once: an agent sends again what was not confirmed when a connection broke.
    public var repeated: Int64 { agent == nil ? 0 : max(0, Int64(arrived) - expected) }

    /// Nothing is missing, and there was something.
    public var isGood: Bool { agent != nil && lost == 0 && arrived > 0 }

    /// "records: agent received 1,234, center received 1,234, lost 0"
    public var line: String {
        guard let agent else { return "records: center received \(Format.count(arrived))" }
        var text = "records: agent received \(Self.count(agent.received)), center received \(Format.count(arrived)), "
        text += "lost \(Self.count(lost))"
        if agent.malformed > 0 { text += ", malformed \(Self.count(agent.malformed))" }
        if repeated > 0 { text += ", sent again \(Self.count(repeated))" }
        return text
    }

    private static func count(_ value: Int64) -> String {
        value < 0 ? "-\(Format.count(value.magnitude))" : Format.count(UInt64(value))
    }

    /// What the agent knows of records that did not arrive.
    public var details: [String] {
        guard let agent else { return [] }
        var lines = ["agent: confirmed \(Self.count(agent.confirmed)), resent \(Self.count(agent.resent))"]
        if agent.queued + agent.inFlight > 0 {
            lines.append("agent: not sent \(Self.count(agent.queued)), not confirmed \(Self.count(agent.inFlight))")
        }
        let dropped = agent.dropped.filter { $0.value != 0 }.sorted { $0.key < $1.key }
        for (reason, count) in dropped { lines.append("agent: dropped \(Self.count(count)) (\(reason))") }
        return lines
    }

    static func show(_ figures: Figures, agent: AgentLedger?, display: Display) {
        let summary = Summary(arrived: figures.statistics.records, agent: agent)
        if display.mode == .json {
            var object = summary.json(figures)
            object.add("events", display.takeEvents())
            display.terminal.line(object.text)
            return
        }
        let terminal = display.terminal
        terminal.line("")
        let seconds = max(figures.elapsed, 0.001)
        terminal.line(
            "\(Format.rate(figures.elapsed)) s, \(Format.rate(Double(figures.statistics.records) / seconds)) records/s, "
                + "\(Format.bytes(Double(figures.statistics.bytes) / seconds))/s"
        )
        for entry in figures.types(limit: 40) {
            terminal.line(
                "  data type \(Format.padded("\(entry.type)", -8))\(Format.padded(Format.count(entry.count), 14))"
            )
        }
        for line in summary.details { terminal.line(line) }
        terminal.line(summary.line)
    }

    func json(_ figures: Figures) -> JSONText {
        var object = figures.json
        object.add("summary", true)
        guard let agent else { return object }
        var ledger = JSONText()
        ledger.add("received", agent.received)
        ledger.add("malformed", agent.malformed)
        ledger.add("queued", agent.queued)
        ledger.add("in_flight", agent.inFlight)
        ledger.add("confirmed", agent.confirmed)
        ledger.add("resent", agent.resent)
        var dropped = JSONText()
        for (reason, count) in agent.dropped.sorted(by: { $0.key < $1.key }) { dropped.add(reason, count) }
        ledger.add("dropped", dropped)
        object.add("agent", ledger)
        object.add("lost", lost)
        object.add("ok", isGood)
        return object
    }
}
