// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Rows as a table for people, group by group.
public struct Table: Sendable {
    public static let maximumWidth = 120

    private static let headings = ["name", "median", "unit", "× floor", "n", "spread", "note"]
    private static let numeric: Set<Int> = [1, 3, 4, 5]
    private static let gap = 2
    /// What stands before the names of a group.
    private static let indentation = 2
    /// Of the columns between name and note, so that these keep some space whatever is in those.
    private static let maximumFigureWidth = 16

    private let groups: [(name: String, rows: [Row])]

    /// Groups come in the order of their first rows.
    public init(_ rows: [Row]) {
        var groups: [(name: String, rows: [Row])] = []
        for row in rows {
            if let index = groups.firstIndex(where: { $0.name == row.group }) {
                groups[index].rows.append(row)
            } else {
                groups.append((row.group, [row]))
            }
        }
        self.groups = groups
    }

    /// In columns of characters, for terminals.
    public var text: String {
        guard !groups.isEmpty else { return "nothing was measured\n" }
        let cells = groups.map { group in group.rows.map { Self.cells($0, of: group.rows) } }
        let widths = Self.widths(cells.flatMap(\.self) + [Self.headings])
        var text = Self.lines(Self.headings, widths)
        for (group, rows) in zip(groups, cells) {
            let heading = Self.heading(group.name, group.rows)
            text += "\n" + Wrapping.lines(heading, characters: Self.maximumWidth).map { "\($0)\n" }.joined()
            text += rows.map { Self.lines($0, widths) }.joined()
        }
        return text
    }

    /// As tables of GitHub's Markdown.
    public var markdown: String {
        guard !groups.isEmpty else { return "Nothing was measured.\n" }
        let rule = Self.headings.indices.map { Self.numeric.contains($0) ? "---:" : "---" }
        return groups.map { group in
            let rows = group.rows.map { Self.cells($0, of: group.rows).map(Self.escaped) }
            let lines = ([Self.headings, rule] + rows).map { "| \($0.joined(separator: " | ")) |\n" }
            return "**\(Self.escaped(Self.heading(group.name, group.rows)))**\n\n\(lines.joined())"
        }.joined(separator: "\n")
    }

    /// `text` in one line, in which Markdown finds neither tags nor the end of a cell.
    static func escaped(_ text: String) -> String {
        Wrapping.oneLine(text).map { character in
            switch character {
            case "|", "*", "\\": "\\\(character)"
            case "<": "&lt;"
            case "&": "&amp;"
            default: String(character)
            }
        }.joined()
    }

    // MARK: Cells

    private static func heading(_ name: String, _ rows: [Row]) -> String {
        commonFloor(rows).map { "\(name) (floor: \($0))" } ?? name
    }

    /// The floor of all rows that have one; if they differ, each row's note says which.
    private static func commonFloor(_ rows: [Row]) -> String? {
        let floors = Set(rows.compactMap(\.floor))
        return floors.count == 1 ? floors.first : nil
    }

    private static func cells(_ row: Row, of rows: [Row]) -> [String] {
        let isExact = row.samples.allSatisfy { $0 == row.samples.first }
        let floor = commonFloor(rows) == nil ? row.floor.map { "floor: \($0)" } : nil
        return [
            row.name,
            Figure.text(row.median, exact: isExact),
            row.unit,
            row.floor == nil ? "" : row.ratio.map { Figure.significant($0, digits: 3) } ?? Figure.none,
            String(row.samples.count),
            row.samples.count == 1 ? Figure.none : Figure.percent(row.spread),
            [row.note, floor].compactMap(\.self).joined(separator: "; "),
        ]
    }

    // MARK: Layout

    /// As wide as the widest cell; if that is too much, names and notes are broken into lines.
    private static func widths(_ cells: [[String]]) -> [Int] {
        var widths = headings.indices.map { column in cells.map { Wrapping.oneLine($0[column]).count }.max() ?? 0 }
        let (name, note) = (0, widths.count - 1)
        for column in 1..<note { widths[column] = min(widths[column], maximumFigureWidth) }
        let rest = maximumWidth - indentation - widths[1..<note].reduce(0, +) - note * gap
        widths[note] = min(widths[note], max(rest - widths[name], rest * 2 / 5))
        widths[name] = min(widths[name], rest - widths[note])
        return widths
    }

    /// A row in as many lines as its highest cell has.
    private static func lines(_ cells: [String], _ widths: [Int]) -> String {
        let parts = zip(cells, widths).map { Wrapping.lines($0, characters: $1) }
        return (0..<(parts.map(\.count).max() ?? 0)).map { line in
            var text = String(repeating: " ", count: indentation)
            for (column, part) in parts.enumerated() {
                let cell = line < part.count ? part[line] : ""
                let blanks = String(repeating: " ", count: max(0, widths[column] - cell.count))
                text += numeric.contains(column) ? blanks + cell : cell + blanks
                text += String(repeating: " ", count: gap)
            }
            while text.last == " " { text.removeLast() }
            return text + "\n"
        }.joined()
    }
}
