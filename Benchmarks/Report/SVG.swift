// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A drawing that grows downwards: shapes are added at places in pixels.
struct SVG {
    enum Anchor: String {
        case start
        case middle
        case end
    }

    static let width = 860.0
    static let margin = 28.0
    static let ink = "#1f2328"
    static let faded = "#59636e"
    static let grid = "#e4e7eb"
    static let axis = "#8c959f"

    private(set) var body = ""

    /// The whole file, on white, so that it is readable on a dark page too.
    func document(height: Double, title: String) -> String {
        let (width, height, title) = (Self.number(Self.width), Self.number(height), Self.escaped(title))
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" \
            role="img" aria-label="\(title)" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, \
            sans-serif">
            <title>\(title)</title>
            <rect width="\(width)" height="\(height)" rx="6" fill="#fff"/>
            \(body)</svg>

            """
    }

    /// The title and what explains it. Returns where they end.
    mutating func heading(_ title: String, _ subtitle: String?) -> Double {
        var y = 18.0
        let room = Self.width - 2 * Self.margin
        for line in Wrapping.lines(title, width: room, measure: { Wrapping.pixels($0, size: 18, bold: true) }) {
            y += 23
            text(Self.margin, y, line, size: 18, bold: true)
        }
        guard let subtitle else { return y }
        y += 3
        for line in Wrapping.lines(subtitle, width: room, measure: { Wrapping.pixels($0, size: 13) }) {
            y += 18
            text(Self.margin, y, line, color: Self.faded)
        }
        return y
    }

    mutating func text(
        _ x: Double,
        _ y: Double,
        _ words: String,
        size: Double = 13,
        color: String = ink,
        anchor: Anchor = .start,
        bold: Bool = false,
        halo: Bool = false
    ) {
        element(
            "text",
            [
                ("x", Self.number(x)), ("y", Self.number(y)), ("font-size", Self.number(size)), ("fill", color),
                ("text-anchor", anchor == .start ? "" : anchor.rawValue), ("font-weight", bold ? "600" : ""),
                // Keeps lines behind it away from the letters.
                ("stroke", halo ? "#fff" : ""), ("stroke-width", halo ? "5" : ""),
                ("stroke-linejoin", halo ? "round" : ""), ("paint-order", halo ? "stroke" : ""),
            ],
            Self.escaped(words)
        )
    }

    mutating func line(
        _ x1: Double,
        _ y1: Double,
        _ x2: Double,
        _ y2: Double,
        _ color: String,
        width: Double = 1,
        dashes: String = ""
    ) {
        element(
            "line",
            [
                ("x1", Self.number(x1)), ("y1", Self.number(y1)), ("x2", Self.number(x2)), ("y2", Self.number(y2)),
                ("stroke", color), ("stroke-width", Self.number(width)), ("stroke-dasharray", dashes),
            ]
        )
    }

    mutating func rectangle(_ x: Double, _ y: Double, _ width: Double, _ height: Double, _ color: String) {
        element(
            "rect",
            [
                ("x", Self.number(x)), ("y", Self.number(y)), ("width", Self.number(width)),
                ("height", Self.number(height)), ("rx", "2"), ("fill", color),
            ]
        )
    }

    mutating func path(_ commands: String, stroke: String, fill: String = "none", width: Double, dashes: String = "") {
        element(
            "path",
            [
                ("d", commands), ("fill", fill), ("stroke", stroke), ("stroke-width", Self.number(width)),
                ("stroke-linejoin", "round"), ("stroke-dasharray", dashes),
            ]
        )
    }

    /// An element without its empty attributes.
    private mutating func element(_ name: String, _ attributes: [(String, String)], _ content: String? = nil) {
        body += "<\(name)"
        for (name, value) in attributes where !value.isEmpty { body += " \(name)=\"\(value)\"" }
        body += content.map { ">\($0)</\(name)>\n" } ?? "/>\n"
    }

    static func axisTitle(_ quantity: String, _ unit: String) -> String {
        unit.isEmpty ? quantity : "\(quantity) (\(unit))"
    }

    /// To a tenth of a pixel.
    static func number(_ value: Double) -> String {
        guard abs(value) < 1e6 else { return "0" }
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
    }

    /// In one line, without what XML does not allow.
    static func escaped(_ text: String) -> String {
        Wrapping.oneLine(text).unicodeScalars.map { scalar in
            switch scalar {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            case "\"": "&quot;"
            case "\u{fffe}", "\u{ffff}": "\u{fffd}"
            default: String(scalar)
            }
        }.joined()
    }
}
