// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

// The standard library's own searches come with its parser of regular expressions: 0.9 MB of a static program.
extension StringProtocol {
    /// Where `text` stands first, byte for byte; nil when it does not, or is empty.
    public func range(ofText text: some StringProtocol) -> Range<Index>? {
        let bytes = utf8
        let wanted = text.utf8
        guard let first = wanted.first else { return nil }
        var rest = bytes[...]
        while let start = rest.firstIndex(of: first) {
            if bytes[start...].starts(with: wanted) { return start..<bytes.index(start, offsetBy: wanted.count) }
            rest = bytes[bytes.index(after: start)...]
        }
        return nil
    }

    /// Does `text` stand in it, byte for byte?
    public func contains(text: some StringProtocol) -> Bool { range(ofText: text) != nil }
}
