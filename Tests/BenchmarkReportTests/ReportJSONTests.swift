// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import JSON
import Testing

@Suite struct ReportJSONTests {
    @Test func everyFieldIsThere() throws {
        var row = Row(group: "g", name: "n", unit: "ms", samples: [1, 2, 3.5], floor: "f", floorValue: 4, note: "why")
        let other = Row(group: "g", name: "m", unit: "ms", samples: [8])
        let text = ReportJSON.text(ReportTests.report([row, other]))
        let value = try JSONValue(parsing: Array(text.utf8))
        #expect(value["title"] == .string("A title"))
        #expect(value["version"] == .string("1.2.0"))
        #expect(value["date"] == .string("2026-01-31T12:00:00Z"))
        #expect(value["command"] == .string("Benchmarks all"))
        #expect(value["seconds"] == .real(12.34))
        #expect(
            value["machine"]
                == .object([
                    "processor": .string("AMD EPYC"), "processors": .integer(2), "memory": .integer(24_684_084 * 1024),
                    "kernel": .string("6.1.0"), "architecture": .string("x86_64"), "openSSL": .string("3.0.19"),
                    "nghttp2": .string("1.52.0"),
                ])
        )
        let rows = try #require(value["rows"]?.array)
        #expect(rows.count == 2)
        #expect(
            rows.first
                == .object([
                    "group": .string("g"), "name": .string("n"), "unit": .string("ms"), "median": .real(2),
                    "minimum": .real(1), "maximum": .real(3.5), "spread": .real(1.25), "ratio": .real(0.5),
                    "samples": .array([.real(1), .real(2), .real(3.5)]), "floor": .string("f"), "floorValue": .real(4),
                    "note": .string("why"),
                ])
        )
        #expect(rows.last?["floor"] == .null)
        #expect(rows.last?["spread"] == .real(0))
        row.note = nil
        #expect(ReportJSON.text(ReportTests.report([row, other])) != text)
    }

    @Test func layout() {
        let text = ReportJSON.text(ReportTests.report([Row(group: "g", name: "n", unit: "ms", samples: [1, 2])]))
        #expect(text.hasPrefix("{\n  \"title\": \"A title\",\n  \"version\": \"1.2.0\",\n"))
        #expect(text.contains("  \"machine\": {\n    \"processor\": \"AMD EPYC\",\n"))
        #expect(text.contains("  \"rows\": [\n    {\n      \"group\": \"g\",\n"))
        #expect(text.contains("      \"samples\": [1.0,2.0],\n"))
        #expect(text.hasSuffix("      \"note\": null\n    }\n  ]\n}\n"))
        #expect(ReportJSON.text(ReportTests.report()).hasSuffix("  \"rows\": []\n}\n"))
    }

    @Test(arguments: ["\"", "\\", "a\nb\r\tc", "\u{0}\u{1b}\u{7f}\u{9f}", "é 漢 😀", "{\n\"a\": [", ""])
    func stringsAreEscaped(text: String) throws {
        let row = Row(group: text, name: text, unit: text, samples: [1], floor: text, note: text)
        let value = try JSONValue(parsing: Array(ReportJSON.text(ReportTests.report([row])).utf8))
        for name in ["group", "name", "unit", "floor", "note"] {
            #expect(value["rows"]?.array?.first?[name] == .string(text), "\(name)")
        }
    }

    @Test(arguments: [[.nan, 1], [.infinity], [-.infinity, 2], []] as [[Double]])
    func whatIsNoNumberIsNull(samples: [Double]) throws {
        var report = ReportTests.report([Row(group: "g", name: "n", unit: "u", samples: samples, floorValue: .nan)])
        report.seconds = .infinity
        let value = try JSONValue(parsing: Array(ReportJSON.text(report).utf8))
        #expect(value["seconds"] == .null)
        let row = try #require(value["rows"]?.array?.first)
        for name in ["median", "minimum", "maximum", "spread", "ratio", "floorValue"] {
            #expect(row[name] == .null, "\(name)")
        }
        #expect(row["samples"] == .array(samples.map { $0.isFinite ? .real($0) : .null }))
    }

    @Test(arguments: [1e300, -1e-300, 5, 0.1 + 0.2, .greatestFiniteMagnitude, 1e16])
    func numbersKeepTheirDigits(number: Double) throws {
        let report = ReportTests.report([Row(group: "g", name: "n", unit: "u", samples: [number])])
        let value = try JSONValue(parsing: Array(ReportJSON.text(report).utf8))
        #expect(value["rows"]?.array?.first?["median"] == .real(number))
    }
}
