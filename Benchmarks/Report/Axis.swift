// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How values lie along an axis.
public enum AxisScale: Sendable {
    case linear
    case log10
}

/// An axis that fits to its values: where it begins and ends, its ticks and their labels. It exists for whatever values,
/// those that it cannot show left out.
package struct Axis: Sendable {
    package let scale: AxisScale
    package private(set) var low = 0.0
    package private(set) var high = 1.0
    package private(set) var ticks: [Double] = []
    /// Between the ticks, without labels.
    package private(set) var minorTicks: [Double] = []
    private var step = 1.0

    /// Sizes that count as different from nothing, and are far from what a Double overflows at.
    private static let sizes = 1e-290...1e290
    /// Values closer than this part of their size are one value.
    private static let resolution = 1e-9
    private static let mostTicks = 9

    /// - Parameters:
    ///   - fromZero: a linear axis includes zero.
    ///   - intervals: between ticks of a linear axis, about.
    package init(_ scale: AxisScale, _ values: [Double], fromZero: Bool = true, intervals: Int = 6) {
        self.scale = scale
        switch scale {
        case .linear: fitLinear(values.filter(\.isFinite), fromZero, intervals)
        case .log10: fitLogarithmic(values.filter { $0.isFinite && $0 > 0 })
        }
    }

    private mutating func fitLinear(_ values: [Double], _ fromZero: Bool, _ intervals: Int) {
        let values = values.map { value in
            let size = abs(value) < Self.sizes.lowerBound ? 0 : min(abs(value), Self.sizes.upperBound)
            return value < 0 ? -size : size
        }
        var (least, most) = (values.min() ?? 0, values.max() ?? 0)
        if fromZero { (least, most) = (min(least, 0), max(most, 0)) }
        let size = max(abs(least), abs(most))
        if size == 0 { most = 1 }
        if most - least < size * Self.resolution { (least, most) = (least - size / 2, most + size / 2) }
        step = Self.niceStep((most - least) / Double(intervals))
        // Not up to the next tick for an excess that only rounding made.
        let first = (least / step + Self.resolution).rounded(.down)
        let last = (most / step - Self.resolution).rounded(.up)
        ticks = (0...max(1, Int(last - first))).map { (first + Double($0)) * step }
        (low, high) = (first * step, max(last, first + 1) * step)
    }

    private mutating func fitLogarithmic(_ values: [Double]) {
        let sizes = Self.sizes
        let values = values.map { min(max($0, sizes.lowerBound), sizes.upperBound) }
        let (least, most) = (values.min() ?? 1, values.max() ?? 10)
        let decades = Int(Glibc.log10(least).rounded(.down)) - 1...Int(Glibc.log10(most).rounded(.up)) + 1
        let marks = decades.flatMap { exponent in [1, 2, 5].map { $0 * Figure.power(exponent) } }
        low = marks.last { $0 <= least * (1 + Self.resolution) } ?? least
        high = marks.first { $0 >= most * (1 - Self.resolution) && $0 > low } ?? most
        let shown = (low * (1 - Self.resolution))...(high * (1 + Self.resolution))
        let powers = decades.map(Figure.power).filter(shown.contains)
        if powers.count <= 2 {
            ticks = marks.filter(shown.contains)
        } else {
            let every = (powers.count + Self.mostTicks - 1) / Self.mostTicks
            ticks = stride(from: 0, to: powers.count, by: every).map { powers[$0] }
        }
        guard powers.count <= Self.mostTicks else { return }
        let between = decades.flatMap { exponent in (1...9).map { Double($0) * Figure.power(exponent) } }
        minorTicks = between.filter { value in
            shown.contains(value) && !ticks.contains { abs($0 / value - 1) < Self.resolution }
        }
    }

    /// 1, 2 or 5 times a power of ten, `size` at least.
    private static func niceStep(_ size: Double) -> Double {
        let power = pow(10, Glibc.log10(size).rounded(.down))
        return [1, 2, 5].map { $0 * power }.first { $0 >= size * (1 - resolution) } ?? 10 * power
    }
}

extension Axis {
    /// From 0 at its beginning to 1 at its end; nil if it has no place for the value.
    package func position(_ value: Double) -> Double? {
        switch scale {
        case .linear:
            return value.isFinite ? min(max((value - low) / (high - low), 0), 1) : nil
        case .log10:
            guard value.isFinite, value > 0 else { return nil }
            let (start, end) = (Glibc.log10(low), Glibc.log10(high))
            return min(max((Glibc.log10(value) - start) / (end - start), 0), 1)
        }
    }

    /// The label of a tick, with k, M, G or T for thousands and so on. On a linear axis all have the same of these.
    package func label(_ tick: Double) -> String {
        let size = scale == .linear ? max(abs(low), abs(high)) : tick
        guard tick != 0 else { return "0" }
        guard size < 1e15, size >= 1e-4 else { return Figure.significant(tick, digits: mantissaDigits(tick)) }
        let thousand = scale == .linear ? 1e4 : 1e3
        let prefix = [("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)].first { size >= max($0.1, thousand) } ?? ("", 1)
        let unit = scale == .linear ? step : tick
        let decimals = max(0, -Int((Glibc.log10(unit / prefix.1) + Self.resolution).rounded(.down)))
        return Figure.fixed(tick / prefix.1, decimals: decimals) + prefix.0
    }

    /// As many as tell a tick from its neighbours.
    private func mantissaDigits(_ tick: Double) -> Int {
        guard scale == .linear else { return 1 }
        let exponents = [abs(tick), step].map { Int((Glibc.log10($0) + Self.resolution).rounded(.down)) }
        return max(1, exponents[0] - exponents[1] + 1)
    }
}
