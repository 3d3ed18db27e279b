// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The time in the field Date (RFC 9110 section 5.6.7), in the one form that may be sent.
public enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Seconds since 1970 of "Sun, 06 Nov 1994 08:49:37 GMT"; nil when it is not of that form.
    public static func seconds(_ text: String) -> Int64? {
        let fields = text.split(separator: " ")
        guard fields.count == 6, fields[5] == "GMT", let day = Int64(fields[1]), (1...31).contains(day),
            let month = months.firstIndex(of: String(fields[2])), let year = Int64(fields[3]),
            (1970...9999).contains(year)
        else { return nil }
        let parts = fields[4].split(separator: ":").map { Int64($0) ?? -1 }
        guard parts.count == 3, (0...23).contains(parts[0]), (0...59).contains(parts[1]), (0...60).contains(parts[2])
        else {
            return nil
        }
        // Days since 1970: years begin in March, so that a leap day is the last of one.
        let shifted = month >= 2 ? year : year - 1
        let monthFromMarch = Int64((month + 10) % 12)
        let days =
            365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * monthFromMarch + 2) / 5 + day - 719_469
        return days * 86_400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    }
}
