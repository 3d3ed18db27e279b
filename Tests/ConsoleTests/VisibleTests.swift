// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import Testing

@Suite("Console: text of strangers")
struct VisibleTests {
    static let table: [(String, String)] = [
        ("", ""), ("plain text, 100 %", "plain text, 100 %"), ("üß日本語😀e\u{301}", "üß日本語😀e\u{301}"),
        ("a\nb\tc", #"a\nb\tc"#),
        ("a\r\n", #"a\u{d}\n"#), ("\u{0}", #"\u{0}"#), ("\u{7}\u{8}\u{7f}", #"\u{7}\u{8}\u{7f}"#),
        // Colours, a title of the window, and the eight-bit form of the same.
        ("\u{1b}[31mred\u{1b}[0m", #"\u{1b}[31mred\u{1b}[0m"#), ("\u{1b}]0;title\u{7}", #"\u{1b}]0;title\u{7}"#),
        ("\u{9b}31m\u{85}", #"\u{9b}31m\u{85}"#),
        // What turns the direction of reading round, and what cannot be seen.
        ("\u{202e}exe.txt", #"\u{202e}exe.txt"#),
        ("\u{2066}a\u{2069}\u{200f}\u{61c}", #"\u{2066}a\u{2069}\u{200f}\u{61c}"#),
        ("a\u{200b}b\u{200d}c\u{feff}d\u{ad}e", #"a\u{200b}b\u{200d}c\u{feff}d\u{ad}e"#),
        ("\u{2028}\u{2029}", #"\u{2028}\u{2029}"#), ("\u{e000}\u{f8ff}\u{100000}", #"\u{e000}\u{f8ff}\u{100000}"#),
        ("\u{e0041}\u{e007f}", #"\u{e0041}\u{e007f}"#), (#"\u{1b}"#, #"\u{1b}"#),
    ]

    @Test(arguments: table.indices)
    func whatIsShown(index: Int) {
        let (text, shown) = Self.table[index]
        #expect(visible(text) == shown)
        #expect(visible([UInt8](text.utf8), limit: 1000) == shown)
    }

    @Test(
        arguments: [
            ([0xff], "\u{fffd}"), ([0x61, 0xc3], "a\u{fffd}"), ([0xc0, 0xaf], "\u{fffd}\u{fffd}"),
            ([0xed, 0xa0, 0x80, 0x61], "\u{fffd}\u{fffd}\u{fffd}a"), ([0x80, 0x1b], "\u{fffd}\\u{1b}"),
        ] as [([UInt8], String)]
    )
    func bytesThatAreNoText(bytes: [UInt8], shown: String) { #expect(visible(bytes, limit: 100) == shown) }

    @Test(
        arguments: [
            ("12345", 5, "12345"), ("123456", 5, "1234…"), ("ab", 1, "…"), ("a", 1, "a"), ("ab\n", 4, #"ab\n"#),
            ("abc\n", 4, "abc…"), ("\u{1b}", 4, #"\u{…"#), ("ääää", 4, "ääää"), ("äääää", 4, "äää…"), ("😀😀😀", 3, "😀😀😀"),
            ("😀😀😀😀", 3, "😀😀…"),
        ] as [(String, Int, String)]
    )
    func whatIsTooLongIsCut(text: String, limit: Int, shown: String) { #expect(visible(text, limit: limit) == shown) }

    /// A megabyte costs no more than a line, and a heap of marks on one letter is cut as well.
    @Test func muchIsCutEarly() {
        #expect(visible(String(repeating: "x", count: 1 << 20), limit: 10) == "xxxxxxxxx…")
        let heap = visible("a" + String(repeating: "\u{301}", count: 100_000), limit: 10)
        #expect(heap.hasSuffix("…") && heap.count <= 10 && heap.utf8.count <= 50)
    }

    /// Whatever the bytes are, what is shown is short and harmless.
    @Test(arguments: 0..<200)
    func anything(seed: UInt64) {
        var state = seed
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        var text = String.UnicodeScalarView()
        for _ in 0..<(next() % 60) {
            if let scalar = Unicode.Scalar(UInt32(next() % (next() % 2 == 0 ? 0x300 : 0x11_0000))) {
                text.append(scalar)
            }
        }
        var bytes = [UInt8](String(text).utf8)
        if next() % 2 == 0, !bytes.isEmpty { bytes[Int(next()) % bytes.count] = UInt8(truncatingIfNeeded: next()) }
        for limit in [1, 2, 7, 40, 1000] {
            let shown = visible(bytes, limit: limit)
            #expect(shown.count <= limit, "seed \(seed)")
            for scalar in shown.unicodeScalars {
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate:
                    Issue.record("seed \(seed): U+\(String(scalar.value, radix: 16))")
                default: break
                }
            }
        }
    }
}
