// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import Glibc
import Testing

@Suite("Console: figures")
struct FormatTests {
    @Test func counts() {
        let table: [(Int64, String)] = [
            (0, "0"), (7, "7"), (999, "999"), (1000, "1,000"), (12_345, "12,345"), (999_999, "999,999"),
            (1_234_567, "1,234,567"), (-1, "-1"), (-999, "-999"), (-1000, "-1,000"),
            (.max, "9,223,372,036,854,775,807"), (.min, "-9,223,372,036,854,775,808"),
        ]
        for (value, text) in table { #expect(Format.count(value) == text) }
        #expect(Format.count(UInt64.max) == "18,446,744,073,709,551,615" && Format.count(UInt8.max) == "255")
        #expect(Format.count(Int8.min) == "-128")
    }

    @Test func rates() {
        let table: [(Double, String)] = [
            (0, "0"), (0.04, "0"), (0.06, "0.1"), (0.44, "0.4"), (1, "1"), (1.26, "1.3"), (9.94, "9.9"), (9.96, "10"),
            (10, "10"), (10.4, "10"), (10.6, "11"), (999.7, "1,000"), (12_345, "12,345"), (-3, "0"), (-0.0, "0"),
            (.nan, "0"), (-.infinity, "0"), (.infinity, "1,000,000,000,000,000"),
            (.greatestFiniteMagnitude, "1,000,000,000,000,000"),
        ]
        for (value, text) in table { #expect(Format.rate(value) == text, "\(value)") }
    }

    @Test func bytes() {
        let table: [(Double, String)] = [
            (0, "0 B"), (0.4, "0.4 B"), (1, "1 B"), (512, "512 B"), (1023, "1,023 B"), (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024, "10 KiB"), (1_048_576, "1 MiB"), (262_144_000, "250 MiB"), (1_610_612_736, "1.5 GiB"),
            (1_099_511_627_776, "1 TiB"), (1_125_899_906_842_624, "1,024 TiB"), (-5, "0 B"), (.nan, "0 B"),
        ]
        for (value, text) in table { #expect(Format.bytes(value) == text, "\(value)") }
        #expect(Format.bytes(1536) == "1.5 KiB" && Format.bytes(UInt64.max) == "16,777,216 TiB")
        #expect(Format.bytes(Int32(-1)) == "0 B")
    }

    @Test func percents() {
        let table: [(Double, String)] = [
            (0, "0.0%"), (0.0004, "0.0%"), (0.0006, "0.1%"), (0.123, "12.3%"), (0.5, "50.0%"), (0.9996, "100.0%"),
            (1, "100.0%"), (12.5, "1250.0%"), (-1, "0.0%"), (-.infinity, "0.0%"), (.infinity, "100000000000.0%"),
        ]
        for (value, text) in table { #expect(Format.percent(value) == text, "\(value)") }
    }

    @Test func spans() {
        let table: [(Double, String)] = [
            (0, "0 s"), (0.9, "0 s"), (1, "1 s"), (59.9, "59 s"), (60, "1 min"), (65, "1 min 5 s"),
            (3599, "59 min 59 s"),
            (3600, "1 h"), (3605, "1 h"), (3660, "1 h 1 min"), (86_399, "23 h 59 min"), (86_400, "1 d"),
            (86_460, "1 d"),
            (90_061, "1 d 1 h"), (273_600, "3 d 4 h"), (-5, "0 s"), (.infinity, "11574074 d 1 h"), (-.infinity, "0 s"),
        ]
        for (value, text) in table { #expect(Format.span(value) == text, "\(value)") }
    }

    /// What is no number, as a share of nothing, does not end the program.
    @Test func noNumbers() async {
        await #expect(processExitsWith: .success) { #expect(!Format.percent(.nan).isEmpty) }
        await #expect(processExitsWith: .success) { #expect(!Format.span(.nan).isEmpty) }
    }

    /// In processes of their own: TZ is for all of one.
    @Test func times() async {
        await #expect(processExitsWith: .success) {
            let table: [(zone: String, seconds: Int64, text: String)] = [
                ("UTC0", 0, "1970-01-01 00:00:00"), ("UTC0", -1, "1969-12-31 23:59:59"),
                ("UTC0", 951_782_400, "2000-02-29 00:00:00"), ("UTC0", 1_795_964_645, "2026-11-29 15:04:05"),
                ("UTC0", 4_102_444_799, "2099-12-31 23:59:59"), ("IST-5:30", 1_795_964_645, "2026-11-29 20:34:05"),
                ("EST5EDT,M3.2.0,M11.1.0", 1_795_964_645, "2026-11-29 10:04:05"),
                // The hour that comes twice.
                ("EST5EDT,M3.2.0,M11.1.0", 1_793_511_000, "2026-11-01 01:30:00"),
                ("EST5EDT,M3.2.0,M11.1.0", 1_793_514_600, "2026-11-01 01:30:00"),
                ("EST5EDT,M3.2.0,M11.1.0", 1_782_741_845, "2026-06-29 10:04:05"),
            ]
            for (zone, seconds, text) in table {
                unsafe setenv("TZ", zone, 1)
                tzset()
                #expect(Format.time(seconds) == text, "\(zone)")
                #expect(Format.date(seconds) == text.prefix(10))
            }
            // Beyond what a calendar has: whatever it says, it says it.
            for seconds in [Int64.min, .max] { #expect(!Format.time(seconds).isEmpty) }
        }
    }

    @Test func padding() {
        let table: [(String, Int, String)] = [
            ("ab", 4, "  ab"), ("ab", -4, "ab  "), ("ab", 2, "ab"), ("ab", -2, "ab"), ("abc", 2, "abc"),
            ("abc", -1, "abc"),
            ("", 2, "  "), ("", 0, ""), ("ü€", 3, " ü€"), ("e\u{301}", -2, "e\u{301} "),
        ]
        for (text, width, padded) in table { #expect(Format.padded(text, width) == padded) }
    }
}
