// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a Range field asks of a representation (RFC 9110 section 14).
public enum ByteRange: Equatable, Sendable {
    /// All of it: no range, one that is not understood, or several at once.
    case whole
    case part(Range<Int>)
    case unsatisfiable

    /// - Parameters:
    ///   - field: the value of the Range field, if there is one.
    ///   - size: of the representation, in bytes.
    public init(_ field: String?, size: Int) {
        guard let field, field.lowercased().hasPrefix("bytes=") else {
            self = .whole
            return
        }
        let spec = field.dropFirst(6)
        let parts = spec.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = Self.number(parts[0]), let last = Self.number(parts[1]) else {
            self = .whole
            return
        }
        switch (first, last) {
        case (nil, nil): self = .whole
        case (nil, let suffix?): self = suffix == 0 || size == 0 ? .unsatisfiable : .part(max(0, size - suffix)..<size)
        case (let first?, nil): self = first < size ? .part(first..<size) : .unsatisfiable
        case (let first?, let last?):
            if last < first {
                self = .whole
            } else {
                self = first < size ? .part(first..<min(size - 1, last) + 1) : .unsatisfiable
            }
        }
    }

    /// Nil when it is not a number; a nil inside when it is empty. Beyond 18 digits it is as large as can be.
    private static func number(_ text: Substring) -> Int?? {
        if text.isEmpty { return .some(nil) }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return .some(Int(text) ?? Int.max - 1)
    }
}
