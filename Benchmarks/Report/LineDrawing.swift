// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Places what a line chart has.
struct LineDrawing {
    private static let height = 320.0
    /// Of Okabe and Ito: different to the colour-blind, here without the yellow, which is too pale on white.
    private static let colors = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#333333", "#e69f00", "#56b4e9"]
    private static let markers = ["circle", "square", "triangle", "diamond"]
    /// With more points than this a line has no markers.
    private static let mostMarkers = 60
    private static let swatch = 34.0

    private let chart: LineChart
    private let xAxis: Axis
    private let yAxis: Axis
    private let left: Double
    private let right = SVG.width - SVG.margin
    private var top = 0.0
    private var svg = SVG()

    init(_ chart: LineChart) {
        self.chart = chart
        let points = chart.series.flatMap(\.points)
        let xs = points.map(\.x).filter(\.isFinite)
        let (least, most) = (xs.min() ?? 0, xs.max() ?? 0)
        xAxis = Axis(chart.x.scale, xs, fromZero: least >= 0 && least <= most / 4, intervals: 8)
        yAxis = Axis(chart.y.scale, points.map(\.y))
        let label = yAxis.ticks.map { [yAxis] in Wrapping.pixels(yAxis.label($0), size: 12) }.max()
        left = SVG.margin + (label ?? 0) + 8
    }

    mutating func document() -> String {
        let legend = drawLegend(below: svg.heading(chart.title, chart.subtitle))
        svg.text(SVG.margin, legend + 26, SVG.axisTitle(chart.y.quantity, chart.y.unit))
        top = legend + 42
        drawAxes()
        for (index, series) in chart.series.enumerated() { draw(series, index) }
        let isEmpty = !chart.series.contains { $0.points.contains { place($0) != nil } }
        if isEmpty {
            let middle = (x: (left + right) / 2, y: top + Self.height / 2)
            svg.text(middle.x, middle.y, "nothing was measured", color: SVG.faded, anchor: .middle)
        }
        return svg.document(height: top + Self.height + 60, title: chart.title)
    }

    /// Names beside samples of their lines, in as many rows as they need. Returns where it ends.
    private mutating func drawLegend(below start: Double) -> Double {
        var (x, y) = (SVG.margin, start + 26)
        for (index, series) in chart.series.enumerated() {
            let room = SVG.width - 2 * SVG.margin - Self.swatch - 8
            let lines = Wrapping.lines(series.name, width: room) { Wrapping.pixels($0, size: 13) }
            let width = (lines.map { Wrapping.pixels($0, size: 13) }.max() ?? 0) + Self.swatch + 8
            if x > SVG.margin, x + width > SVG.width - SVG.margin { (x, y) = (SVG.margin, y + 20) }
            let points = [(x: x, y: y - 4.5), (x: x + Self.swatch, y: y - 4.5)]
            stroke(points, Self.color(index), dashed: series.isDashed)
            if series.points.count <= Self.mostMarkers { mark((x + Self.swatch / 2, y - 4.5), index) }
            for (number, line) in lines.enumerated() {
                if number > 0 { y += 17 }
                svg.text(x + Self.swatch + 8, y, line)
            }
            x += width + 24
        }
        return chart.series.isEmpty ? start : y
    }

    private mutating func drawAxes() {
        let bottom = top + Self.height
        for tick in xAxis.minorTicks { svg.line(x(tick), bottom, x(tick), bottom + 4, SVG.axis) }
        for tick in yAxis.minorTicks { svg.line(left - 4, y(tick), left, y(tick), SVG.axis) }
        for tick in xAxis.ticks {
            svg.line(x(tick), top, x(tick), bottom, SVG.grid)
            svg.text(x(tick), bottom + 19, xAxis.label(tick), size: 12, color: SVG.faded, anchor: .middle)
        }
        for tick in yAxis.ticks {
            svg.line(left, y(tick), right, y(tick), SVG.grid)
            svg.text(left - 8, y(tick) + 4.5, yAxis.label(tick), size: 12, color: SVG.faded, anchor: .end)
        }
        svg.line(left, bottom, right, bottom, SVG.axis)
        svg.line(left, top, left, bottom, SVG.axis)
        svg.text((left + right) / 2, bottom + 42, SVG.axisTitle(chart.x.quantity, chart.x.unit), anchor: .middle)
    }

    private mutating func draw(_ series: LineChart.Series, _ index: Int) {
        let places = series.points.map(place)
        for run in places.split(whereSeparator: { $0 == nil }) {
            stroke(run.compactMap { $0 }, Self.color(index), dashed: series.isDashed)
        }
        // A point without neighbours has nothing but its marker.
        let isLone = { (at: Int) in
            (at == 0 || places[at - 1] == nil) && (at == places.count - 1 || places[at + 1] == nil)
        }
        for (at, place) in places.enumerated() where places.count <= Self.mostMarkers || isLone(at) {
            if let place { mark(place, index) }
        }
    }

    private mutating func stroke(_ points: [(x: Double, y: Double)], _ color: String, dashed: Bool) {
        guard points.count > 1 else { return }
        let commands = "M" + points.map { "\(SVG.number($0.x)),\(SVG.number($0.y))" }.joined(separator: "L")
        svg.path(commands, stroke: color, width: 2.2, dashes: dashed ? "7 5" : "")
    }

    /// A second sign beside the colour.
    private mutating func mark(_ place: (x: Double, y: Double), _ index: Int) {
        let shape =
            switch Self.markers[index % Self.markers.count] {
            case "square": "m-3.8,-3.8h7.6v7.6h-7.6z"
            case "triangle": "m0,-5l4.8,8.4h-9.6z"
            case "diamond": "m0,-5.2l5.2,5.2l-5.2,5.2l-5.2,-5.2z"
            default: "m-4.2,0a4.2,4.2 0 1 0 8.4,0a4.2,4.2 0 1 0 -8.4,0z"
            }
        let start = "M\(SVG.number(place.x)),\(SVG.number(place.y))"
        svg.path(start + shape, stroke: "#fff", fill: Self.color(index), width: 1.2)
    }

    private static func color(_ index: Int) -> String { colors[index % colors.count] }

    private func place(_ point: LineChart.Point) -> (x: Double, y: Double)? {
        guard let x = xAxis.position(point.x), let y = yAxis.position(point.y) else { return nil }
        return (left + x * (right - left), top + (1 - y) * Self.height)
    }

    private func x(_ value: Double) -> Double { left + (xAxis.position(value) ?? 0) * (right - left) }
    private func y(_ value: Double) -> Double { top + (1 - (yAxis.position(value) ?? 0)) * Self.height }
}
