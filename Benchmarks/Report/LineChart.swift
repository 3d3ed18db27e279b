// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Named series over a common axis, drawn as SVG.
public struct LineChart: Sendable {
    public struct Point: Equatable, Sendable {
        public var x: Double
        public var y: Double

        public init(_ x: Double, _ y: Double) {
            self.x = x
            self.y = y
        }
    }

    public struct Series: Equatable, Sendable {
        public var name: String
        /// In the order in which the line connects them. One that its axis cannot show is a gap.
        public var points: [Point]
        /// For what others are compared with: a floor, a limit.
        public var isDashed: Bool

        public init(_ name: String, _ points: [Point], isDashed: Bool = false) {
            self.name = name
            self.points = points
            self.isDashed = isDashed
        }
    }

    public struct AxisTitle: Equatable, Sendable {
        public var quantity: String
        public var unit: String
        public var scale: AxisScale

        public init(_ quantity: String, _ unit: String, _ scale: AxisScale = .linear) {
            self.quantity = quantity
            self.unit = unit
            self.scale = scale
        }
    }

    public var title: String
    public var subtitle: String?
    public var x: AxisTitle
    public var y: AxisTitle
    public var series: [Series]

    public init(title: String, subtitle: String? = nil, x: AxisTitle, y: AxisTitle, series: [Series]) {
        self.title = title
        self.subtitle = subtitle
        self.x = x
        self.y = y
        self.series = series
    }

    /// The whole file.
    public var svg: String {
        var drawing = LineDrawing(self)
        return drawing.document()
    }
}
