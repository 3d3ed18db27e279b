// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How a check went, the worse the greater.
public enum Verdict: String, Comparable, Sendable {
    case pass
    case skipped
    case warn
    case fail

    private var rank: Int {
        switch self {
        case .pass: 0
        case .skipped: 1
        case .warn: 2
        case .fail: 3
        }
    }

    public static func < (left: Verdict, right: Verdict) -> Bool { left.rank < right.rank }
}

/// One thing that a check has to say.
public struct Finding: Equatable, Sendable {
    public let verdict: Verdict
    public let text: String
    /// What the plugin's author, or whoever runs the check, can do; empty when nothing.
    public let advice: String

    public init(_ verdict: Verdict, _ text: String, advice: String = "") {
        self.verdict = verdict
        self.text = text
        self.advice = advice
    }

    static func note(_ text: String) -> Finding { Finding(.pass, text) }
    static func warn(_ text: String, _ advice: String) -> Finding { Finding(.warn, text, advice: advice) }
    static func fail(_ text: String, _ advice: String) -> Finding { Finding(.fail, text, advice: advice) }
    static func skipped(_ text: String, _ advice: String) -> Finding { Finding(.skipped, text, advice: advice) }
}

/// A number that was measured, for programs: the name says the unit.
public struct Measure: Equatable, Sendable {
    public let name: String
    public let value: Double

    public init(_ name: String, _ value: Double) {
        self.name = name
        self.value = value
    }

    init(_ name: String, _ value: Int) { self.init(name, Double(value)) }
}

/// A check's part of the report.
public struct CheckResult: Equatable, Sendable {
    public let check: Check
    public var findings: [Finding]
    public var measures: [Measure]
    /// The plugin's last lines on standard error, when something is wrong.
    public var lastLines: [String] = []

    public init(_ check: Check, _ findings: [Finding], _ measures: [Measure] = []) {
        self.check = check
        self.findings = findings
        self.measures = measures
    }

    /// The worst of the findings.
    public var verdict: Verdict { findings.map(\.verdict).max() ?? .pass }
}
