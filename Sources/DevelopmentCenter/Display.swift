// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import ElkeidWire

/// Shows a center: as a table that stays in its place, as lines, as records, or as JSON.
final class Display: CenterObserver {
    enum Mode { case table, lines, records, json }

    /// Records shown in one second; more would only scroll by.
    static let recordsPerSecond = 200

    let mode: Mode
    let terminal: Terminal
    private let title: String
    private var shown = 0
    private var hidden = 0
    private var events: [String] = []
    private var drawn = false

    init(_ options: DisplayOptions, title: String, terminal: Terminal) {
        mode = options.json ? .json : options.follow ? .records : terminal.isInteractive ? .table : .lines
        self.title = title
        self.terminal = terminal
    }

    // MARK: CenterObserver

    func received(_ record: EncodedRecord, in message: [UInt8], from agentID: String) {
        guard mode == .records else { return }
        guard shown < Self.recordsPerSecond else {
            hidden += 1
            return
        }
        shown += 1
        // Those of errors may take several lines.
        let isShort = terminal.isInteractive && !RecordText.errorTypes.contains(record.dataType)
        let limit = isShort ? max(40, terminal.size.columns - 10) : 1000
        terminal.line("\(Clock.timeOfDay())  \(RecordText.line(Array(message[record.encoded]), limit: limit))")
    }

    func noted(_ event: String) {
        let text = visible(event, limit: 300)
        switch mode {
        case .lines, .records: terminal.line("\(Clock.timeOfDay())  \(text)")
        case .table: events = Array((events + ["\(Clock.timeOfDay())  \(text)"]).suffix(3))
        case .json: events = Array((events + [text]).suffix(100))
        }
    }

    // MARK: Each second

    func show(_ figures: Figures) {
        if hidden > 0 { terminal.line("          … \(Format.count(UInt64(hidden))) more records in this second") }
        shown = 0
        hidden = 0
        switch mode {
        case .json:
            // Part of the second's object, so that each line has the same form.
            var object = figures.json
            object.add("events", takeEvents())
            terminal.line(object.text)
        case .lines: terminal.line(figures.line(width: 200))
        case .records: break
        case .table: draw(figures)
        }
    }

    /// Draws over the table before, and leaves the cursor where it was: in the line in which commands are typed.
    private func draw(_ figures: Figures) {
        let (columns, rows) = terminal.size
        let head = "\(title)   \(Format.count(UInt64(figures.elapsed.rounded()))) s"
        let table = [head, ""] + figures.table(columns: columns - 1, rows: rows - 8)
        let lines = table + [""] + events.map { String($0.prefix(columns - 1)) }
        var text = drawn ? "\u{1b}7" : "\u{1b}[2J"
        text += "\u{1b}[H"
        for line in lines { text += line + "\u{1b}[K\r\n" }
        // The line of commands has its place at the bottom, below whatever the table needs.
        for _ in lines.count..<max(lines.count, rows - 2) { text += "\u{1b}[K\r\n" }
        text += drawn ? "\u{1b}8" : Self.prompt(rows)
        drawn = true
        terminal.write(text)
    }

    private static func prompt(_ rows: Int) -> String { "\u{1b}[\(rows - 1);1H\u{1b}[J> " }

    /// A command has been entered: its line is free again.
    func commandTaken() {
        if mode == .table { terminal.write(Self.prompt(terminal.size.rows)) }
    }

    /// The table is there from the beginning.
    func begin(_ figures: Figures) {
        if mode == .table { draw(figures) }
    }

    /// The last table, and lines below it from now on.
    func conclude(_ figures: Figures) {
        guard mode == .table else { return }
        draw(figures)
        terminal.write("\u{1b}[\(terminal.size.rows);1H\n")
    }

    /// What happened since the last line of JSON.
    func takeEvents() -> [String] {
        defer { events = [] }
        return events
    }
}
