// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Testing

@Suite struct AxisTests {
    private func labels(_ axis: Axis) -> [String] { axis.ticks.map(axis.label) }

    private static let linear: [([Double], String)] = [
        ([0, 4.2], "0 1 2 3 4 5"), ([0.7, 1], "0 0.2 0.4 0.6 0.8 1.0"), ([0.3], "0 0.05 0.10 0.15 0.20 0.25 0.30"),
        ([-12, 140], "-50 0 50 100 150"), ([-3, -1], "-3.0 -2.5 -2.0 -1.5 -1.0 -0.5 0"),
        ([9000], "0 2k 4k 6k 8k 10k"), ([8000], "0 2,000 4,000 6,000 8,000"), ([1_900_000], "0 0.5M 1.0M 1.5M 2.0M"),
        ([45_000], "0 10k 20k 30k 40k 50k"), ([3e12], "0 0.5T 1.0T 1.5T 2.0T 2.5T 3.0T"),
        ([3e20], "0 5e19 1.0e20 1.5e20 2.0e20 2.5e20 3.0e20"), ([3e-7], "0 5e-8 1.0e-7 1.5e-7 2.0e-7 2.5e-7 3.0e-7"),
        ([0], "0 0.2 0.4 0.6 0.8 1.0"), ([], "0 0.2 0.4 0.6 0.8 1.0"), ([.nan, .infinity, 4.2], "0 1 2 3 4 5"),
    ]

    @Test(arguments: linear) func linearTicks(values: [Double], expected: String) {
        #expect(labels(Axis(.linear, values)) == expected.split(separator: " ").map(String.init))
    }

    private static let linearWithoutZero: [([Double], String)] = [
        ([50, 50], "20 30 40 50 60 70 80"), ([2024, 2026], "2,024.0 2,024.5 2,025.0 2,025.5 2,026.0"),
    ]

    @Test(arguments: linearWithoutZero) func linearTicksWithoutZero(values: [Double], expected: String) {
        #expect(labels(Axis(.linear, values, fromZero: false)) == expected.split(separator: " ").map(String.init))
    }

    private static let logarithmic: [([Double], String)] = [
        ([2, 8], "2 5 10"), ([64, 65_536], "100 1k 10k 100k"), ([1, 1e6], "1 10 100 1k 10k 100k 1M"),
        ([0.05, 330], "0.1 1 10 100"), ([5], "5 10"), ([10], "10 20"), ([], "1 2 5 10"),
        ([-1, 0, .nan, .infinity], "1 2 5 10"), ([1e-6, 1e-5], "1e-6 2e-6 5e-6 1e-5"),
    ]

    @Test(arguments: logarithmic) func logarithmicTicks(values: [Double], expected: String) {
        #expect(labels(Axis(.log10, values)) == expected.split(separator: " ").map(String.init))
    }

    /// Whatever the values: some ticks, not too many, in order, within the axis, with different labels.
    @Test(arguments: [AxisScale.linear, .log10])
    func anyRangeHasTicks(scale: AxisScale) {
        let sizes: [Double] = [
            0, .leastNonzeroMagnitude, 1e-308, 1e-300, 1e-12, 1e-3, 0.1, 0.7, 1, 3, 9.999999, 10, 99, 1e3, 65_536, 1e6,
            1e15, 1e16,
            1e100,
            1.7e308,
        ]
        let values = sizes + sizes.map { -$0 }
        for low in values {
            for high in values + [low.nextUp, low * 1.0000001, low * 1.01] where high >= low {
                for fromZero in [true, false] {
                    let axis = Axis(scale, [low, high], fromZero: fromZero)
                    let context = "\(low) \(high) \(fromZero): \(axis.ticks)"
                    #expect((2...14).contains(axis.ticks.count), "\(context)")
                    #expect(axis.minorTicks.count <= 100, "\(context)")
                    #expect(axis.low < axis.high && (axis.high - axis.low).isFinite, "\(context)")
                    #expect(zip(axis.ticks, axis.ticks.dropFirst()).allSatisfy { $0 < $1 }, "\(context)")
                    #expect(Set(labels(axis)).count == axis.ticks.count, "\(context) \(labels(axis))")
                    let places = axis.ticks.compactMap(axis.position)
                    #expect(places.count == axis.ticks.count && places.allSatisfy((0...1).contains), "\(context)")
                }
            }
        }
    }

    @Test func positions() {
        let linear = Axis(.linear, [0, 10])
        #expect(linear.position(5) == 0.5)
        #expect(linear.position(-1) == 0)
        #expect(linear.position(.infinity) == nil)
        let logarithmic = Axis(.log10, [1, 100])
        #expect(logarithmic.position(10) == 0.5)
        #expect(logarithmic.position(1000) == 1)
        for value in [0, -1, .nan] { #expect(logarithmic.position(value) == nil) }
    }
}
