// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The few operations on ASCII text that /proc and release files need, on bytes: what they hold may be no UTF-8.
extension Collection where Element == UInt8 {
    /// As a string; what is not UTF-8 is replaced.
    var text: String { String(decoding: self, as: UTF8.self) }
}

extension ArraySlice<UInt8> {
    /// Without white space at both ends.
    var trimmed: ArraySlice<UInt8> {
        guard let first = firstIndex(where: { !$0.isWhiteSpace }), let last = lastIndex(where: { !$0.isWhiteSpace })
        else { return [] }
        return self[first...last]
    }

    /// The parts between white space.
    var words: [ArraySlice<UInt8>] { split { $0.isWhiteSpace } }

    /// A decimal number that fills the slice; nil also when it is too large.
    var unsigned: UInt64? {
        guard !isEmpty else { return nil }
        var value: UInt64 = 0
        for byte in self {
            guard (0x30...0x39).contains(byte) else { return nil }
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = shifted.addingReportingOverflow(UInt64(byte - 0x30))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }

    /// What follows `prefix`; nil when the slice begins otherwise.
    func dropping(prefix: String) -> ArraySlice<UInt8>? {
        starts(with: prefix.utf8) ? dropFirst(prefix.utf8.count) : nil
    }
}

extension UInt8 {
    /// ASCII white space, as isspace(3) of the C locale has it.
    var isWhiteSpace: Bool { self == 0x20 || (0x09...0x0d).contains(self) }
}
