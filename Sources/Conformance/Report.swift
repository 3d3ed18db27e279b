// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import ElkeidWire
public import JSON

/// All results, for people and for programs.
public struct Report: Equatable, Sendable {
    public let name: String
    public let program: String
    public let results: [CheckResult]
    public let seconds: Double

    public init(name: String, program: String, results: [CheckResult], seconds: Double) {
        self.name = name
        self.program = program
        self.results = results
        self.seconds = seconds
    }

    /// The worst of the checks.
    public var verdict: Verdict { results.map(\.verdict).max() ?? .pass }
    public var exitCode: Int32 { verdict == .fail ? 1 : 0 }

    private static let width = 80
    private static let indentation = 21

    // MARK: Text

    static func head(name: String, program: String) -> String { "Plugin \(name): \(program)\n\n" }

    /// A check's lines.
    static func text(_ result: CheckResult, _ style: Style) -> String {
        let (label, tone): (String, Style.Tone) =
            switch result.verdict {
            case .pass: ("pass", .good)
            case .skipped: ("skip", .dim)
            case .warn: ("warn", .warning)
            case .fail: ("FAIL", .bad)
            }
        var lines: [String] = []
        for finding in result.findings {
            let mark = result.findings.count > 1 && finding.verdict > .pass ? "\(finding.verdict.rawValue): " : ""
            lines += wrapped(mark + finding.text)
            if !finding.advice.isEmpty { lines += wrapped("-> \(finding.advice)") }
        }
        for line in result.lastLines { lines += wrapped("stderr: \(visible(line, limit: 200))") }
        let padding = String(repeating: " ", count: indentation)
        let name = Format.padded(result.check.rawValue, -(indentation - 6))
        return lines.enumerated().map { index, line in
            (index == 0 ? style(label, tone) + "  " + name : padding) + line + "\n"
        }.joined()
    }

    func summary(_ style: Style) -> String {
        func count(_ verdict: Verdict) -> Int { results.count { $0.verdict == verdict } }
        let counts =
            "\(count(.pass)) passed, \(count(.warn)) with warnings, \(count(.fail)) failed, \(count(.skipped)) skipped"
        let word = verdict == .fail ? style("does not conform", .bad) : style("conforms", .good)
        return "\n\(name) \(word).\n\(counts), in \(Int(seconds.rounded())) s\n"
    }

    /// The whole, as it is shown on a terminal without colours.
    public var text: String {
        let plain = Style(isColoured: false)
        return Self.head(name: name, program: program) + results.map { Self.text($0, plain) }.joined() + summary(plain)
    }

    /// Lines that fit behind the check's name; words that do not fit are cut.
    private static func wrapped(_ text: String) -> [String] {
        let room = width - indentation
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            var rest = word
            if !line.isEmpty && line.count + 1 + rest.count > room {
                lines.append(line)
                line = ""
            }
            while rest.count > room {
                lines.append(String(rest.prefix(room)))
                rest = rest.dropFirst(room)
            }
            line += (line.isEmpty ? "" : " ") + rest
        }
        return lines + [line]
    }

    // MARK: JSON

    /// One object.
    public var json: JSONValue {
        .object([
            "plugin": .string(name), "program": .string(program), "verdict": .string(verdict.rawValue),
            "seconds": .real(seconds), "checks": .array(results.map(Self.json)),
        ])
    }

    private static func json(_ result: CheckResult) -> JSONValue {
        let findings = result.findings.map { finding -> JSONValue in
            .object([
                "verdict": .string(finding.verdict.rawValue), "text": .string(finding.text),
                "advice": .string(finding.advice),
            ])
        }
        let measures = Dictionary(result.measures.map { ($0.name, number($0.value)) }) { first, _ in first }
        return .object([
            "name": .string(result.check.rawValue), "demand": .string(result.check.demand),
            "verdict": .string(result.verdict.rawValue), "findings": .array(findings), "measured": .object(measures),
            "stderr": .strings(result.lastLines),
        ])
    }

    private static func number(_ value: Double) -> JSONValue {
        Int64(exactly: value).map { .integer($0) } ?? .real(value)
    }
}
