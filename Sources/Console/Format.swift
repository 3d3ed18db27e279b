// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Figures as people read them.
public enum Format {
    /// "1,234,567".
    public static func count(_ value: some BinaryInteger) -> String {
        var digits = Array("\(value.magnitude)")
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: index)
            index -= 3
        }
        return (value < 0 ? "-" : "") + String(digits)
    }

    /// "0.4", "12,345": one decimal below 10.
    public static func rate(_ value: Double) -> String {
        let value = value.isNaN ? 0 : min(max(0, value), 1e15)
        guard value < 10 else { return count(UInt64(value.rounded())) }
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    /// "512 B", "1.5 KiB".
    public static func bytes(_ value: Double) -> String {
        var value = value.isNaN ? 0 : min(max(0, value), 1e30)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return "\(rate(value)) \(unit)" }
            value /= 1024
        }
        return "\(rate(value)) TiB"
    }

    public static func bytes(_ value: some BinaryInteger) -> String { bytes(Double(value)) }

    /// "12.3%".
    public static func percent(_ share: Double) -> String {
        let tenths = Int64((share.isNaN ? 0 : min(max(share, 0), 1e9) * 1000).rounded())
        return "\(tenths / 10).\(tenths % 10)%"
    }

    /// "3 d 4 h", "12 min", "5 s": the two largest units.
    public static func span(_ seconds: Double) -> String {
        let total = seconds.isNaN ? 0 : Int64(min(max(seconds, 0), 1e12))
        let parts = [(total / 86400, "d"), (total / 3600 % 24, "h"), (total / 60 % 60, "min"), (total % 60, "s")]
        let shown = parts.drop { $0.0 == 0 }.prefix(2).filter { $0.0 > 0 }
        return shown.isEmpty ? "0 s" : shown.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }

    /// "2026-11-29 15:04:05", local time of seconds since 1970.
    public static func time(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        unsafe localtime_r(&time, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe "\(date) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    public static func date(_ seconds: Int64) -> String { String(time(seconds).prefix(10)) }

    /// With spaces to `width` characters: on the left, or on the right for a negative width.
    public static func padded(_ text: String, _ width: Int) -> String {
        let spaces = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? text + spaces : spaces + text
    }
}
