// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Testing

@Suite struct ChartTests {
    private static let hostile = "a <b> & \"c\" 'd' ]]> \u{0}\u{1b}\n漢 \(String(repeating: "long ", count: 60))"
    private static let odd: [Double] = [0, -1, 1, 1e300, -1e300, 1e-300, .nan, .infinity, -.infinity]

    private func chart(_ bars: [BarChart.Bar], _ references: [BarChart.Reference] = []) -> String {
        BarChart(title: "Title", quantity: "Time", unit: "ms", bars: bars, references: references).svg
    }

    private func chart(_ scale: AxisScale, _ series: [LineChart.Series]) -> String {
        LineChart(title: "Title", x: .init("Size", "bytes", scale), y: .init("Time", "ms", scale), series: series).svg
    }

    @Test func bars() throws {
        let references = [BarChart.Reference("naive C floor", 1.24), .init("best known C floor", 0.98)]
        let row = Row(group: "g", name: "agent", unit: "ms", samples: [1.6, 1.62, 1.7], floor: "C", floorValue: 1.25)
        let svg = chart([BarChart.Bar(row, isHighlighted: true), .init("other", 4)], references)
        let elements = try SVGReader.elements(of: svg)
        #expect(svg.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" "))
        #expect(svg.contains("fill=\"#fff\"/>"))
        #expect(elements.filter { $0 == "rect" }.count == 3)
        #expect(elements.filter { $0 == "path" }.count == 1, "only the row has a whisker")
        for text in ["agent", "1.62 (1.30 × floor)", "other", "naive C floor: 1.24", "best known C floor: 0.980"] {
            #expect(svg.contains(">\(text)</text>"), "\(text)")
        }
        #expect(svg.contains(">Time (ms)</text>"))
    }

    @Test func lines() throws {
        let points = [1.0, 10, 100].map { LineChart.Point($0, $0) }
        let svg = chart(.log10, [.init("one", points), .init("two", points, isDashed: true)])
        #expect(try SVGReader.elements(of: svg).filter { $0 == "path" }.count == 2 * (3 + 1 + 2))
        #expect(svg.contains("stroke-dasharray"))
        for text in ["one", "two", "Size (bytes)", "Time (ms)", "100"] {
            #expect(svg.contains(">\(text)</text>"), "\(text)")
        }
    }

    @Test func aGapBreaksTheLine() throws {
        let ys: [Double] = [1, 2, .nan, 3, 0, 4, 5]
        let points = ys.enumerated().map { LineChart.Point(Double($0 + 1), $1) }
        let svg = chart(.log10, [.init("gaps", points)])
        let lines = svg.split(separator: "\n").filter { $0.contains("fill=\"none\"") }
        #expect(lines.count == 1 + 2, "that of the legend, and two of more than a point")
    }

    @Test func manyPointsHaveNoMarkers() throws {
        let points = (0..<1000).map { LineChart.Point(Double($0), 1) }
        #expect(try SVGReader.elements(of: chart(.linear, [.init("many", points)])).filter { $0 == "path" }.count == 2)
    }

    @Test func nothingToDraw() throws {
        let none = LineChart.Series("none", [.init(.nan, 1)])
        for svg in [chart([]), chart(.linear, []), chart(.log10, []), chart(.linear, [none]), chart(.log10, [none])] {
            _ = try SVGReader.elements(of: svg)
            #expect(svg.contains("nothing was measured"))
        }
        let svg = chart([.init("broken", .nan, low: .nan, high: .infinity)], [.init("none", .infinity)])
        _ = try SVGReader.elements(of: svg)
        #expect(svg.contains(">–</text>"))
        #expect(!svg.contains("none:"))
    }

    /// Neither traps, nor places that are no numbers or beyond the picture, nor text that is no XML.
    @Test func anyInputIsDrawn() throws {
        let bars = Self.odd.map { BarChart.Bar(Self.hostile, $0, low: -$0, high: $0, detail: Self.hostile) }
        let references = Self.odd.map { BarChart.Reference(Self.hostile, $0) }
        let points = Self.odd.flatMap { x in Self.odd.map { LineChart.Point(x, $0) } }
        let series = (0..<9).map { LineChart.Series(Self.hostile + "\($0)", points, isDashed: $0 > 4) }
        let scales: [AxisScale] = [.linear, .log10]
        let charts =
            [BarChart(title: Self.hostile, subtitle: Self.hostile, quantity: "", unit: "", bars: bars).svg]
            + [chart(bars, references)] + bars.map { chart([$0]) } + scales.map { chart($0, series) }
        for svg in charts {
            _ = try SVGReader.elements(of: svg)
            #expect(!svg.contains("nan") && !svg.contains("inf"))
            for x in SVGReader.values(of: "x", in: svg) { #expect((0...860).contains(x), "\(x)") }
        }
    }
}
