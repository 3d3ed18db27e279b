// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Places what a bar chart has.
struct BarDrawing {
    private static let lineHeight = 16.0
    private static let thickness = 20.0
    private static let gap = 12.0
    private static let widestLabel = 310.0
    private static let widestValue = 220.0
    private static let highlight = "#0072b2"
    private static let plain = "#a8b1bb"
    /// Dark enough for text, and different to the colour-blind.
    private static let referenceColors = ["#b84a00", "#8a3a78", "#00664b", "#333"]

    private let chart: BarChart
    private let axis: Axis
    private let labels: [[String]]
    /// What stands after each bar.
    private let values: [[String]]
    private let left: Double
    private let right: Double
    private var svg = SVG()

    init(_ chart: BarChart) {
        self.chart = chart
        let shown = chart.bars.flatMap { [$0.value, $0.low ?? $0.value, $0.high ?? $0.value] }
        axis = Axis(.linear, shown + chart.references.map(\.value))
        labels = chart.bars.map { Self.lines($0.label, Self.widestLabel, $0) }
        values = chart.bars.map { bar in
            let detail = bar.detail.map { " (\($0))" } ?? ""
            return Self.lines(Figure.text(bar.value) + detail, Self.widestValue, bar)
        }
        left = SVG.margin + Self.width(labels, chart.bars) + 10
        right = SVG.width - SVG.margin - Self.width(values, chart.bars) - 10
    }

    mutating func document() -> String {
        let heading = svg.heading(chart.title, chart.subtitle) + 16
        let references = placedReferences()
        let rows = references.map { $0.row + 1 }.max() ?? 0
        let top = heading + Double(rows) * Self.lineHeight + 8
        let heights = zip(labels, values).map { label, value in
            max(Self.thickness, Double(max(label.count, value.count)) * Self.lineHeight) + Self.gap
        }
        let bottom = top + max(heights.reduce(0, +), Self.thickness) + 4
        drawAxis(top, bottom)
        var (middles, y): ([Double], Double) = ([], top)
        for height in heights {
            middles.append(y + height / 2)
            y += height
        }
        for (bar, middle) in zip(chart.bars, middles) { draw(bar, middle) }
        for reference in references {
            let y = heading + Double(reference.row) * Self.lineHeight
            svg.line(reference.x, y, reference.x, bottom, reference.color, width: 1.5, dashes: "6 4")
        }
        for (index, middle) in middles.enumerated() { annotate(index, middle) }
        for reference in references {
            let y = heading + Double(reference.row) * Self.lineHeight + 10
            let (x, anchor) = reference.toRight ? (reference.x + 6, SVG.Anchor.start) : (reference.x - 6, .end)
            svg.text(x, y, reference.text, size: 12, color: reference.color, anchor: anchor, bold: true)
        }
        if chart.bars.isEmpty { svg.text(left + 10, bottom - 8, "nothing was measured", color: SVG.faded, halo: true) }
        return svg.document(height: bottom + 58, title: chart.title)
    }

    private mutating func drawAxis(_ top: Double, _ bottom: Double) {
        for tick in axis.ticks {
            svg.line(x(tick), top, x(tick), bottom, tick == 0 ? SVG.axis : SVG.grid)
            svg.text(x(tick), bottom + 17, axis.label(tick), size: 12, color: SVG.faded, anchor: .middle)
        }
        svg.text((left + right) / 2, bottom + 40, SVG.axisTitle(chart.quantity, chart.unit), anchor: .middle)
    }

    private mutating func draw(_ bar: BarChart.Bar, _ middle: Double) {
        guard bar.value.isFinite else { return }
        let (from, to) = (min(x(0), x(bar.value)), max(x(0), x(bar.value)))
        let color = bar.isHighlighted ? Self.highlight : Self.plain
        svg.rectangle(from, middle - Self.thickness / 2, to - from, Self.thickness, color)
    }

    /// What must not lie under a reference line: label, whisker and value.
    private mutating func annotate(_ index: Int, _ middle: Double) {
        let bar = chart.bars[index]
        var end = max(x(0), x(bar.value))
        if let low = bar.low, let high = bar.high, bar.value.isFinite, low.isFinite, high.isFinite {
            let whisker = "M\(SVG.number(x(low))),\(SVG.number(middle - 4))v8m0,-4H\(SVG.number(x(high)))m0,-4v8"
            svg.path(whisker, stroke: SVG.ink, width: 1.2)
            end = max(end, x(high))
        }
        write(labels[index], left - 10, middle, .end, bar)
        write(values[index], end + 8, middle, .start, bar)
    }

    private mutating func write(
        _ lines: [String],
        _ x: Double,
        _ middle: Double,
        _ anchor: SVG.Anchor,
        _ bar: BarChart.Bar
    ) {
        let first = middle + 4.5 - Double(lines.count - 1) * Self.lineHeight / 2
        for (index, line) in lines.enumerated() {
            let y = first + Double(index) * Self.lineHeight
            svg.text(x, y, line, anchor: anchor, bold: bar.isHighlighted, halo: anchor == .start)
        }
    }

    private func x(_ value: Double) -> Double { left + (right - left) * (axis.position(value) ?? 0) }

    private static func lines(_ text: String, _ width: Double, _ bar: BarChart.Bar) -> [String] {
        Wrapping.lines(text, width: width) { Wrapping.pixels($0, size: 13, bold: bar.isHighlighted) }
    }

    /// Of the widest line beside the bars.
    private static func width(_ texts: [[String]], _ bars: [BarChart.Bar]) -> Double {
        zip(texts, bars).flatMap { lines, bar in
            lines.map { Wrapping.pixels($0, size: 13, bold: bar.isHighlighted) }
        }.max() ?? 0
    }
}

// MARK: References

extension BarDrawing {
    private struct PlacedReference {
        let x: Double
        let text: String
        let color: String
        let toRight: Bool
        let row: Int
    }

    /// Labels stand beside the tops of their lines, in rows such that no line, which begins at its label, crosses the
    /// label of another.
    private func placedReferences() -> [PlacedReference] {
        let lines = chart.references.filter(\.value.isFinite).enumerated().map { index, reference in
            let text = "\(Wrapping.oneLine(reference.label)): \(Figure.text(reference.value))"
            let color = Self.referenceColors[index % Self.referenceColors.count]
            return (x: x(reference.value), text: text, color: color, width: Wrapping.pixels(text, size: 12, bold: true))
        }
        let toRight = lines.allSatisfy { $0.x + 6 + $0.width <= SVG.width - SVG.margin / 2 }
        var placed: [PlacedReference] = []
        for line in lines.sorted(by: { toRight ? $0.x < $1.x : $0.x > $1.x }) {
            let reached = placed.filter { other in
                abs(line.x - other.x) < 14 + Wrapping.pixels(other.text, size: 12, bold: true)
            }
            let row = (reached.map(\.row).max() ?? -1) + 1
            placed.append(PlacedReference(x: line.x, text: line.text, color: line.color, toRight: toRight, row: row))
        }
        return placed
    }
}
