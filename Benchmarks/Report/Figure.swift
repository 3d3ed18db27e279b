// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Numbers for readers.
package enum Figure {
    /// In place of what is no number.
    package static let none = "–"

    /// Three significant digits, four from 1,000 on; whole numbers below 1,000 without decimals.
    /// - Parameter exact: a whole number is a count, of which no digit is to be lost.
    package static func text(_ value: Double, exact: Bool = false) -> String {
        let isWhole = abs(value) < 1e15 && value == value.rounded()
        if isWhole, exact || abs(value) < 1000 { return fixed(value, decimals: 0) }
        return significant(value, digits: abs(value) < 1000 ? 3 : 4)
    }

    /// That many significant digits, zeros at the end too; with an exponent outside of 0.0001 … 10^15.
    package static func significant(_ value: Double, digits: Int) -> String {
        guard value.isFinite else { return none }
        guard value.isNormal else { return "0" }
        let size = abs(value)
        var exponent = Int(log10(size).rounded(.down))
        // 9.996 is 10.0.
        if (size / power(exponent + 1 - digits)).rounded() >= power(digits) { exponent += 1 }
        guard (-4..<15).contains(exponent) else {
            return "\(fixed(value / power(exponent), decimals: digits - 1))e\(exponent)"
        }
        let decimals = digits - 1 - exponent
        if decimals >= 0 { return fixed(value, decimals: decimals) }
        return fixed((value / power(-decimals)).rounded() * power(-decimals), decimals: 0)
    }

    /// With that many decimals, and commas between the thousands.
    package static func fixed(_ value: Double, decimals: Int) -> String {
        guard value.isFinite else { return none }
        let scaled = abs(value * power(decimals)).rounded()
        guard scaled < 9e15 else { return "\(value)" }
        var digits = String(Int(scaled))
        digits = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        let fraction = decimals > 0 ? "." + digits.suffix(decimals) : ""
        return (value < 0 && scaled > 0 ? "-" : "") + thousands(digits.dropLast(max(0, decimals))) + fraction
    }

    /// A part of one as percents.
    package static func percent(_ part: Double) -> String {
        let percent = part * 100
        return percent.isFinite ? "\(fixed(percent, decimals: abs(percent) < 9.95 ? 1 : 0))%" : none
    }

    package static func power(_ exponent: Int) -> Double { pow(10, Double(exponent)) }

    private static func thousands(_ digits: Substring) -> String {
        let head = digits.count % 3
        var groups = head > 0 ? [digits.prefix(head)] : []
        var rest = digits.dropFirst(head)
        while !rest.isEmpty {
            groups.append(rest.prefix(3))
            rest = rest.dropFirst(3)
        }
        return groups.joined(separator: ",")
    }
}
