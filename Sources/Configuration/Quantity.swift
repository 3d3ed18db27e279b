// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A number with a unit, taken apart: `256KiB`, `100ms`, `10%`, `5`.
struct Quantity {
    let number: Int
    let unit: String

    /// Nil unless `text` starts with decimal digits that fit an `Int`. One blank or more may stand before the unit.
    init?(_ text: some StringProtocol) {
        var value = 0
        var rest = text.utf8[...]
        guard let first = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return nil }
        while let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            let (shifted, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow) = shifted.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            guard !tooLarge, !overflow else { return nil }
            value = sum
            rest.removeFirst()
        }
        number = value
        unit = trimmed(String(decoding: rest, as: UTF8.self))
    }
}

/// Sizes in bytes; the units are powers of 1,024, as systemd's are.
enum ByteCount {
    private static let units: [(names: [String], factor: Int)] = [
        (["GiB", "G"], 1 << 30), (["MiB", "M"], 1 << 20), (["KiB", "K"], 1 << 10), (["", "B"], 1),
    ]

    static func parse(_ text: String) throws(Problem) -> Int {
        guard let quantity = Quantity(text), let unit = units.first(where: { $0.names.contains(quantity.unit) }) else {
            throw Problem(
                "\(quoted(text)) is not a size",
                remedy: "write a whole number of bytes, or one with K, M, G, KiB, MiB or GiB"
            )
        }
        let (bytes, overflow) = quantity.number.multipliedReportingOverflow(by: unit.factor)
        guard !overflow else {
            throw Problem("\(quoted(text)) is too large", remedy: "write a smaller size")
        }
        return bytes
    }

    /// With the largest unit that leaves a whole number.
    static func format(_ bytes: Int) -> String {
        for unit in units where bytes != 0 && bytes.isMultiple(of: unit.factor) {
            return "\(bytes / unit.factor)\(unit.names[0])"
        }
        return "\(bytes)"
    }
}

/// Times, in whole milliseconds.
enum TimeSpan {
    private static let units: [(names: [String], milliseconds: Int64)] = [
        (["d"], 86_400_000), (["h"], 3_600_000), (["min", "m"], 60_000), (["s", ""], 1000), (["ms"], 1),
    ]

    static func parse(_ text: String) throws(Problem) -> Duration {
        guard let quantity = Quantity(text), let unit = units.first(where: { $0.names.contains(quantity.unit) }) else {
            throw Problem(
                "\(quoted(text)) is not a duration",
                remedy: "write a whole number with ms, s, min, h or d, such as 100ms"
            )
        }
        let (milliseconds, overflow) = Int64(quantity.number).multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflow else {
            throw Problem("\(quoted(text)) is too long", remedy: "write a shorter duration")
        }
        return .milliseconds(milliseconds)
    }

    /// With the largest unit that leaves a whole number; what is shorter than a millisecond is cut off.
    static func format(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let total = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        for unit in units where total != 0 && total.isMultiple(of: unit.milliseconds) {
            return "\(total / unit.milliseconds)\(unit.names[0])"
        }
        return "\(total)s"
    }
}
