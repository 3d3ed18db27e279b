// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Testing

@Suite struct RowTests {
    static func row(_ samples: [Double], floorValue: Double? = nil) -> Row {
        Row(group: "group", name: "name", unit: "ms", samples: samples, floorValue: floorValue)
    }

    @Test(arguments: [
        ([7], 7), ([3, 1, 2], 2), ([4, 1, 3, 2], 2.5), ([-1, 1], 0),
        ([.greatestFiniteMagnitude, .greatestFiniteMagnitude], .greatestFiniteMagnitude),
    ])
    func median(samples: [Double], expected: Double) {
        #expect(Self.row(samples).median == expected)
    }

    @Test(arguments: [
        ([5], 0), ([0, 0], 0), ([2, 2, 2], 0), ([1, 2, 3], 1), ([-1, -2, -3], 1), ([0.0], 0),
    ])
    func spread(samples: [Double], expected: Double) {
        #expect(Self.row(samples).spread == expected)
    }

    @Test func spreadAroundZeroIsNone() { #expect(Self.row([-1, 0, 1]).spread.isNaN) }

    @Test func extremes() {
        #expect(Self.row([3, 1, 2]).minimum == 1)
        #expect(Self.row([3, 1, 2]).maximum == 3)
    }

    /// Whatever was measured beside it: a broken sample does not pass for a sound row.
    @Test(arguments: [[], [.nan], [1, .nan, 2], [1, .infinity], [-.infinity]] as [[Double]])
    func unsoundSamplesHaveNoFigures(samples: [Double]) {
        let row = Self.row(samples, floorValue: 1)
        #expect(row.median.isNaN)
        #expect(row.minimum.isNaN)
        #expect(row.maximum.isNaN)
        #expect(row.spread.isNaN)
        #expect(row.ratio == nil)
    }

    @Test(arguments: [(2, 1.5), (0, nil), (.nan, nil), (.infinity, nil), (nil, nil)] as [(Double?, Double?)])
    func ratio(floorValue: Double?, expected: Double?) {
        #expect(Self.row([3], floorValue: floorValue).ratio == expected)
    }
}
