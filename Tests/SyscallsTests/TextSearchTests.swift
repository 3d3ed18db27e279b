// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Syscalls
import Testing

@Suite("Text search")
struct TextSearchTests {
    /// The text, what is looked for, and what stands before it.
    static let table: [(String, String, String?)] = [
        ("", "a", nil), ("a", "", nil), ("a", "a", ""), ("ba", "a", "b"), ("ab", "abc", nil), ("aab", "ab", "a"),
        ("abcabd", "abd", "abc"), ("aaab", "aab", "a"), ("//x//", "//", ""), ("größe", "ß", "grö"), ("größe", "o", nil),
        ("e\u{301}x", "\u{301}", "e"), ("日本語", "語", "日本"),
    ]

    @Test(arguments: table.indices) func whereItStands(index: Int) {
        let (text, wanted, before) = Self.table[index]
        let range = text.range(ofText: wanted)
        #expect(range.map { String(decoding: text.utf8[..<$0.lowerBound], as: UTF8.self) } == before)
        #expect(range.map { String(decoding: text.utf8[$0], as: UTF8.self) } == (before == nil ? nil : wanted))
        #expect(text.contains(text: wanted) == (before != nil))
        // In a part of a text as well.
        #expect("<\(text)>".dropFirst().dropLast().contains(text: wanted) == (before != nil))
    }
}
