// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The few operations on ASCII text that /proc and release files need, on bytes: what they hold may be no UTF-8.
extension Collection where Element == UInt8 {
    /// As a string; what is not UTF-8 is replaced.
    var text: String { String(decoding: self, as: UTF8.self) }
}

/// White space beyond ASCII (the property White_Space), in UTF-8.
private let wideSpaces: [[UInt8]] =
    ([0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000] + Array(0x2000...0x200a)).compactMap {
        UnicodeScalar($0).map { Array(String(Character($0)).utf8) }
    }

extension ArraySlice<UInt8> {
    /// Without white space at both ends, as Go's bytes.TrimSpace does it, on which identities depend: Unicode's white
    /// space, where the bytes are valid UTF-8 of it.
    var trimmed: ArraySlice<UInt8> {
        var rest = self
        while let first = rest.first {
            if first.isWhiteSpace {
                rest = rest.dropFirst()
            } else if first >= 0x80, let space = wideSpaces.first(where: { rest.starts(with: $0) }) {
                rest = rest.dropFirst(space.count)
            } else {
                break
            }
        }
        while let last = rest.last {
            if last.isWhiteSpace {
                rest = rest.dropLast()
            } else if last >= 0x80, let space = wideSpaces.first(where: { rest.suffix($0.count).elementsEqual($0) }) {
                rest = rest.dropLast(space.count)
            } else {
                break
            }
        }
        return rest
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
