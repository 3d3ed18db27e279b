// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Testing

@Suite struct FigureTests {
    @Test(
        arguments: [
            (0, "0"), (-0.0, "0"), (5, "5"), (999, "999"), (1.616, "1.62"), (12.34, "12.3"), (123.4, "123"),
            (9.996, "10.0"),
            (0.012345, "0.0123"), (0.00012345, "0.000123"), (0.000012345, "1.23e-5"), (-1.5, "-1.50"), (999.9, "1,000"),
            (1234.5, "1,235"), (12_345, "12,350"), (1_234_567.8, "1,235,000"), (9.9996e14, "1.000e15"),
            (1.5e300, "1.500e300"), (.greatestFiniteMagnitude, "1.798e308"), (.leastNonzeroMagnitude, "0"),
            (2.5e-308, "2.50e-308"),
            (.nan, "–"), (.infinity, "–"), (-.infinity, "–"),
        ] as [(Double, String)]
    )
    func text(value: Double, expected: String) {
        #expect(Figure.text(value) == expected)
    }

    @Test func countsKeepTheirDigits() {
        #expect(Figure.text(1_234_567, exact: true) == "1,234,567")
        #expect(Figure.text(1_234_567.5, exact: true) == "1,235,000")
        #expect(Figure.text(1e18, exact: true) == "1.000e18")
    }

    @Test(
        arguments: [
            (0, "0.0%"), (0.0321, "3.2%"), (0.0994, "9.9%"), (0.0996, "10%"), (0.5, "50%"), (12.345, "1,235%"),
            (.nan, "–"),
            (1e308, "–"),
        ] as [(Double, String)]
    )
    func percent(part: Double, expected: String) {
        #expect(Figure.percent(part) == expected)
    }

    @Test(
        arguments: [
            (1.005, 0, "1"), (0.05, 1, "0.1"), (0.0049, 2, "0.00"), (-0.0049, 2, "0.00"), (1234.5678, 3, "1,234.568"),
            (1e300, 2, "1e+300"),
        ] as [(Double, Int, String)]
    )
    func fixed(value: Double, decimals: Int, expected: String) {
        #expect(Figure.fixed(value, decimals: decimals) == expected)
    }
}

@Suite struct WrappingTests {
    @Test(
        arguments: [
            ("", 5, [""]), ("   ", 5, [""]), ("one two", 7, ["one two"]), ("one two", 6, ["one", "two"]),
            ("abcdefgh", 3, ["abc", "def", "gh"]), ("a bcdef", 3, ["a", "bcd", "ef"]), ("a\nb\tc", 9, ["a b c"]),
            ("ab", 0, ["a", "b"]), ("\u{1b}[31m red\u{7f}", 9, ["[31m red"]),
        ] as [(String, Int, [String])]
    )
    func lines(text: String, width: Int, expected: [String]) {
        #expect(Wrapping.lines(text, characters: width) == expected)
    }
}
