// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Small parsing steps over the bytes of /proc files. Ranges are indices of the span.
extension Span<UInt8> {
    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        for index in range where self[index] == byte { return index }
        return nil
    }

    func lastIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        for index in range.reversed() where self[index] == byte { return index }
        return nil
    }

    /// Takes everything before the next `separator` (or all that is left) off the front of `rest`, and the separator
    /// with it. Returns nil when nothing is left.
    func takePart(of rest: inout Range<Int>, upTo separator: UInt8) -> Range<Int>? {
        guard !rest.isEmpty else { return nil }
        let end = firstIndex(of: separator, in: rest) ?? rest.upperBound
        let part = rest.lowerBound..<end
        rest = Swift.min(end + 1, rest.upperBound)..<rest.upperBound
        return part
    }

    func hasPrefix(_ prefix: StaticString, in range: Range<Int>) -> Bool {
        let size = prefix.utf8CodeUnitCount
        guard range.count >= size else { return false }
        for offset in 0..<size where unsafe self[range.lowerBound + offset] != prefix.utf8Start[offset] {
            return false
        }
        return true
    }

    func hasSuffix(_ suffix: StaticString, in range: Range<Int>) -> Bool {
        let size = suffix.utf8CodeUnitCount
        return range.count >= size && hasPrefix(suffix, in: (range.upperBound - size)..<range.upperBound)
    }

    /// The number these decimal digits mean; nil if there are none, other bytes, or too many.
    func decimal(in range: Range<Int>) -> UInt64? {
        guard !range.isEmpty else { return nil }
        var value: UInt64 = 0
        for index in range {
            let digit = self[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// The range without leading and trailing white space.
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, isSpace(self[start]) { start += 1 }
        while start < end, isSpace(self[end - 1]) { end -= 1 }
        return start..<end
    }

    private func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...13).contains(byte)
    }

    /// The range without the beginning of a UTF-8 character whose rest was cut off. Other bytes stay as they are.
    func withoutCutCharacter(_ range: Range<Int>) -> Range<Int> {
        // Look back over at most 3 continuation bytes for the lead byte they belong to.
        for length in 1...4 where length <= range.count {
            let index = range.upperBound - length
            let byte = self[index]
            if byte & 0xC0 == 0x80 { continue }
            let whole = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
            return length < whole ? range.lowerBound..<index : range
        }
        return range
    }
}
