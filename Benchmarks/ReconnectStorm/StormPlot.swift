// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Draws attempts per second as SVG: a panel for each scenario, two pauses in each, on a logarithmic axis, since the one
/// is orders of magnitude from the other.
public struct StormPlot {
    private static let panel = (width: 520.0, height: 300.0)
    private static let area = (left: 64.0, top: 40.0, width: 440.0, height: 200.0)
    private static let seconds = 120
    private static let decades = 6

    private var body = ""

    /// - Parameter pairs: outcomes of one scenario with the agent's pause and with the original's.
    public static func svg(_ pairs: [(ours: StormOutcome, original: StormOutcome)]) -> String {
        var plot = StormPlot()
        for (index, pair) in pairs.enumerated() {
            plot.draw(pair.ours, pair.original, x: Double(index % 2) * panel.width, y: Double(index / 2) * panel.height)
        }
        let (width, height) = (Int(2 * panel.width), Int(panel.height) * ((pairs.count + 1) / 2) + 30)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" \
            font-family="sans-serif" font-size="11">
            <rect width="\(width)" height="\(height)" fill="#fff"/>
            \(plot.body)\
            <text x="64" y="\(height - 10)">attempts per second:</text>
            <text x="194" y="\(height - 10)" fill="#1f6feb">this agent</text>
            <text x="264" y="\(height - 10)" fill="#d1570a">a fixed pause of 5 s, as in the original</text>
            <text x="504" y="\(height - 10)" fill="#666">dashed: handshakes per second that the servers can do</text>
            </svg>

            """
    }

    private mutating func draw(_ ours: StormOutcome, _ original: StormOutcome, x: Double, y: Double) {
        let scenario = ours.scenario
        body += "<g transform=\"translate(\(x),\(y))\">\n"
        text(Self.area.left, 24, "\(scenario.name): \(ours.agents) agents", size: 13)
        for decade in 0...Self.decades {
            let (value, level) = (pow10(decade), Self.y(Double(pow10(decade))))
            line(Self.area.left, level, Self.area.left + Self.area.width, level, "#e5e5e5")
            text(Self.area.left - 6, level + 4, "\(value)", anchor: "end")
        }
        for second in stride(from: 0, through: Self.seconds, by: 20) {
            text(Self.x(second), Self.area.top + Self.area.height + 16, "\(second) s", anchor: "middle")
        }
        let up = scenario.servers.filter { $0.returns < scenario.end }.count
        let capacity = Self.y(Double(scenario.handshakesPerSecond * up))
        line(Self.area.left, capacity, Self.area.left + Self.area.width, capacity, "#999", dashed: true)
        steps(original.attemptsPerSecond, "#d1570a")
        steps(ours.attemptsPerSecond, "#1f6feb")
        body += "</g>\n"
    }

    /// A line with a step wherever the count of one second differs from that of the one before.
    private mutating func steps(_ counts: [Int], _ color: String) {
        let levels = (counts + [Int](repeating: 0, count: Self.seconds)).prefix(Self.seconds).map { Self.y(Double($0)) }
        var path = "M\(Self.x(0)),\(levels[0])"
        for second in 1..<Self.seconds where levels[second] != levels[second - 1] {
            path += "H\(Self.x(second))V\(levels[second])"
        }
        body += "<path fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.5\" d=\"\(path)H\(Self.x(Self.seconds))\"/>\n"
    }

    private mutating func line(
        _ x1: Double,
        _ y1: Double,
        _ x2: Double,
        _ y2: Double,
        _ color: String,
        dashed: Bool = false
    ) {
        let dashes = dashed ? " stroke-dasharray=\"5 4\"" : ""
        body += "<line x1=\"\(x1)\" y1=\"\(y1)\" x2=\"\(x2)\" y2=\"\(y2)\" stroke=\"\(color)\"\(dashes)/>\n"
    }

    private mutating func text(_ x: Double, _ y: Double, _ words: String, size: Int = 11, anchor: String = "start") {
        body += "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" text-anchor=\"\(anchor)\">\(words)</text>\n"
    }

    private func pow10(_ exponent: Int) -> Int { (0..<exponent).reduce(1) { power, _ in power * 10 } }

    private static func x(_ second: Int) -> Double {
        rounded(area.left + area.width * Double(second) / Double(seconds))
    }

    /// Nothing is on the axis; one a second is just above it.
    private static func y(_ count: Double) -> Double {
        var (value, height) = (count, 0.0)
        guard value >= 1 else { return area.top + area.height }
        while value >= 10 { (value, height) = (value / 10, height + 1) }
        // Between decades a straight line would be wrong by up to a fifth of one: the logarithm by its series.
        let ratio = (value - 1) / (value + 1)
        var (term, logarithm) = (ratio, 0.0)
        for odd in stride(from: 1.0, to: 60, by: 2) {
            (logarithm, term) = (logarithm + term / odd, term * ratio * ratio)
        }
        height += 2 * logarithm / 2.302585092994046
        return rounded(area.top + area.height * (1 - height / Double(decades)))
    }

    private static func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
}
