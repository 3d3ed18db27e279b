// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Lines of columns.
public struct TextTable {
    public enum Alignment: Sendable { case left, right }

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [[Styled]] = []

    public init(_ columns: [(String, Alignment)]) { self.columns = columns.map { (title: $0.0, alignment: $0.1) } }

    public mutating func add(_ row: [Styled]) { rows.append(row) }

    /// - Parameter width: of a line; what is longer is cut off.
    public func lines(_ style: Style, width: Int) -> [String] {
        let widths = columns.indices.map { index in
            rows.reduce(columns[index].title.count) { max($0, $1[index].text.count) }
        }
        let head = columns.map { Styled($0.title, .dim) }
        return ([head] + rows).map { row in
            var line = ""
            var used = 0
            for (index, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[index] - cell.text.count)
                let gap = index == 0 ? "" : "  "
                let isLast = index == row.count - 1
                let room = width - used - gap.count
                guard room > 0 else { break }
                switch columns[index].alignment {
                case .left:
                    let text = cell.text.prefix(room)
                    line += gap + style(String(text), cell.tone) + (isLast ? "" : padding.prefix(room - text.count))
                case .right:
                    let left = padding.prefix(room)
                    line += gap + left + style(String(cell.text.prefix(room - left.count)), cell.tone)
                }
                used += gap.count + widths[index]
            }
            return line
        }
    }
}
