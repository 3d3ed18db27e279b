// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Walks over the lines of a text file and refuses what cannot be text.
struct TextLines {
    /// A configuration is a page or two. One of a mebibyte is another file, and must not cost memory.
    static let longestFile = 1 << 20
    /// A path has at most 4,096 bytes; lists can be spread over lines.
    static let longestLine = 8 << 10

    private let bytes: ArraySlice<UInt8>
    private var position: Int
    /// Number of the line returned last, from 1.
    private(set) var number = 0

    /// - Throws: A `Problem` if the file is too long.
    init(_ bytes: [UInt8]) throws(Problem) {
        guard bytes.count <= Self.longestFile else {
            throw Problem(
                "the file has \(bytes.count) bytes, more than \(Self.longestFile)",
                remedy: "check that this is the right file"
            )
        }
        let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
        self.bytes = bytes.starts(with: byteOrderMark) ? bytes[3...] : bytes[...]
        position = self.bytes.startIndex
    }

    /// The next line, without its end and without blanks around it; nil at the end of the file.
    ///
    /// - Throws: A `Problem` if this line is not text; the next call goes on with the line after it.
    mutating func next() throws(Problem) -> String? {
        guard position < bytes.endIndex else { return nil }
        number += 1
        let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.endIndex
        let line = bytes[position..<end]
        position = end < bytes.endIndex ? end + 1 : end
        guard line.count <= Self.longestLine else {
            throw Problem(
                "the line is longer than \(Self.longestLine) bytes",
                remedy: "shorten it; a list may be spread over several lines with the same key"
            )
        }
        guard !line.contains(0) else {
            throw Problem("the line contains a NUL byte", remedy: "save the file as UTF-8 text")
        }
        guard let text = String(validating: trimmed(line), as: UTF8.self) else {
            throw Problem("the line is not valid UTF-8", remedy: "save the file as UTF-8 text")
        }
        return text
    }
}

/// Whether a byte is a blank: space, tab, or the carriage return of a CRLF.
private func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
}

/// `bytes` without the blanks at both ends.
private func trimmed<Bytes: BidirectionalCollection<UInt8>>(_ bytes: Bytes) -> Bytes.SubSequence {
    var slice = bytes[...]
    while let first = slice.first, isBlank(first) { slice.removeFirst() }
    while let last = slice.last, isBlank(last) { slice.removeLast() }
    return slice
}

/// `text` without the blanks at both ends; bytes, not characters, so that a combining mark cannot hide one.
func trimmed(_ text: some StringProtocol) -> String {
    // The slice ends at ASCII bytes, so it is valid UTF-8 whenever `text` is.
    String(decoding: trimmed(Array(text.utf8)), as: UTF8.self)
}

/// Cuts `text` at the first of `separators` (ASCII); nil if there is none. Both parts are trimmed.
func cut(_ text: String, at separators: [UInt8]) -> (before: String, after: String)? {
    guard let index = text.utf8.firstIndex(where: separators.contains) else { return nil }
    return (trimmed(text[..<index]), trimmed(text[text.utf8.index(after: index)...]))
}
