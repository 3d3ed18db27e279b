// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What one run of the benchmarks measured, and where.
public struct Report: Equatable, Sendable {
    public var title: String
    public var machine: Machine
    /// The version or commit that was measured.
    public var version: String
    /// When, as in "2026-01-31T12:00:00Z".
    public var date: String
    /// The command line that repeats it.
    public var command: String
    /// How long it took.
    public var seconds: Double
    public private(set) var rows: [Row] = []

    public init(
        title: String,
        machine: Machine,
        version: String,
        date: String,
        command: String,
        seconds: Double = 0
    ) {
        self.title = title
        self.machine = machine
        self.version = version
        self.date = date
        self.command = command
        self.seconds = seconds
    }

    /// Adds a row. Where a row names a floor but lacks its value, the row of that name and the same unit gives it, the one
    /// of its own group first; the floor may also come later.
    public mutating func append(_ row: Row) {
        rows.append(row)
        for index in rows.indices where rows[index].floorValue == nil {
            rows[index].floorValue = floorValue(rows[index])
        }
    }

    public mutating func append(contentsOf rows: [Row]) {
        for row in rows { append(row) }
    }

    /// The first row of that name, in that group or in any.
    public func row(_ name: String, group: String? = nil) -> Row? {
        rows.first { $0.name == name && (group == nil || $0.group == group) }
    }

    private func floorValue(_ row: Row) -> Double? {
        guard let name = row.floor, let floor = self.row(name, group: row.group) ?? self.row(name) else { return nil }
        let median = floor.median
        return floor.unit == row.unit && median.isFinite ? median : nil
    }
}

extension Report {
    /// Title, origin and table as text.
    public var text: String {
        """
        \(title)

        \(origin.map { "\($0.name):\(String(repeating: " ", count: 9 - $0.name.count))\($0.value)\n" }.joined())
        \(Table(rows).text)
        """
    }

    /// The same for documents.
    public var markdown: String {
        """
        ## \(Table.escaped(title))

        \(origin.map { "- \($0.name): \(Table.escaped($0.value))\n" }.joined())
        \(Table(rows).markdown)
        """
    }

    private var origin: [(name: String, value: String)] {
        [
            ("machine", machine.description), ("version", version), ("date", date), ("command", command),
            ("took", "\(Figure.text(seconds)) s"),
        ]
    }
}
