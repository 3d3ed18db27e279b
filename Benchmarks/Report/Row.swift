// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One measured figure. A sample that is no finite number makes its statistics not a number too, which tables show as
/// "–" and JSON as null: it never hides among sound ones.
public struct Row: Equatable, Sendable {
    /// What the figures beside it have in common: "CPU per byte", "Latency, linger 0".
    public var group: String
    public var name: String
    public var unit: String
    /// One for each repetition, never empty.
    public var samples: [Double]
    /// The name of the row of the same run that it is compared with.
    public var floor: String?
    /// That row's median; `Report.append` finds it.
    public var floorValue: Double?
    public var note: String?

    public init(
        group: String,
        name: String,
        unit: String,
        samples: [Double],
        floor: String? = nil,
        floorValue: Double? = nil,
        note: String? = nil
    ) {
        self.group = group
        self.name = name
        self.unit = unit
        self.samples = samples
        self.floor = floor
        self.floorValue = floorValue
        self.note = note
    }
}

extension Row {
    /// The mean of the two middle ones if their number is even.
    public var median: Double {
        guard isSound else { return .nan }
        let sorted = samples.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : sorted[middle - 1] / 2 + sorted[middle] / 2
    }

    public var minimum: Double { isSound ? samples.min() ?? .nan : .nan }
    public var maximum: Double { isSound ? samples.max() ?? .nan : .nan }

    /// How far the samples are apart, as a part of the median; 0 for one sample.
    public var spread: Double {
        let range = maximum - minimum
        if range == 0 { return 0 }
        let size = abs(median)
        return size > 0 && range.isFinite ? range / size : .nan
    }

    /// How many times the floor; nil without a floor, or one that is zero.
    public var ratio: Double? {
        guard let floorValue, floorValue.isFinite, floorValue != 0 else { return nil }
        let ratio = median / floorValue
        return ratio.isFinite ? ratio : nil
    }

    private var isSound: Bool { !samples.isEmpty && samples.allSatisfy(\.isFinite) }
}
