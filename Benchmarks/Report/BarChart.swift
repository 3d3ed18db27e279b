// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Figures of one kind as horizontal bars from zero, drawn as SVG.
public struct BarChart: Sendable {
    public struct Bar: Equatable, Sendable {
        public var label: String
        public var value: Double
        /// The lowest and the highest sample, drawn as a whisker.
        public var low: Double?
        public var high: Double?
        /// A few words in parentheses after the value.
        public var detail: String?
        /// This is what the chart is about.
        public var isHighlighted: Bool

        public init(
            _ label: String,
            _ value: Double,
            low: Double? = nil,
            high: Double? = nil,
            detail: String? = nil,
            isHighlighted: Bool = false
        ) {
            self.label = label
            self.value = value
            self.low = low
            self.high = high
            self.detail = detail
            self.isHighlighted = isHighlighted
        }

        /// The median of a row, with its extremes if they differ and how many times the floor it is.
        public init(_ row: Row, label: String? = nil, isHighlighted: Bool = false) {
            self.init(label ?? row.name, row.median, isHighlighted: isHighlighted)
            if row.spread > 0 { (low, high) = (row.minimum, row.maximum) }
            detail = row.ratio.map { "\(Figure.significant($0, digits: 3)) × floor" }
        }
    }

    /// A vertical line across all bars.
    public struct Reference: Equatable, Sendable {
        public var label: String
        public var value: Double

        public init(_ label: String, _ value: Double) {
            self.label = label
            self.value = value
        }
    }

    public var title: String
    public var subtitle: String?
    /// What is measured, for the axis: "CPU time per byte".
    public var quantity: String
    public var unit: String
    public var bars: [Bar]
    public var references: [Reference]

    public init(
        title: String,
        subtitle: String? = nil,
        quantity: String,
        unit: String,
        bars: [Bar],
        references: [Reference] = []
    ) {
        self.title = title
        self.subtitle = subtitle
        self.quantity = quantity
        self.unit = unit
        self.bars = bars
        self.references = references
    }

    /// The whole file.
    public var svg: String {
        var drawing = BarDrawing(self)
        return drawing.document()
    }
}
