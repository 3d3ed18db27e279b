// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import JSON

/// What one of doctor's steps has found.
struct Finding: Equatable {
    enum Verdict: String {
        case ok
        /// Works, and may not for long, or not as well as it could.
        case warning
        case bad
        /// Says something, and nothing about right and wrong.
        case note
    }

    /// What has been looked at: "configuration", "server 10.0.0.1:6751".
    let subject: String
    /// Which step of it: "TLS".
    let step: String
    let verdict: Verdict
    let text: String
    /// What to do about it.
    var remedy: String?
    /// One word for programs, such as "certificate_expired"; of warnings and worse.
    var cause: String?

    static func ok(_ subject: String, _ step: String, _ text: String) -> Finding {
        Finding(subject: subject, step: step, verdict: .ok, text: text)
    }

    static func note(_ subject: String, _ step: String, _ text: String) -> Finding {
        Finding(subject: subject, step: step, verdict: .note, text: text)
    }

    static func warning(_ subject: String, _ step: String, _ cause: String, _ text: String, _ remedy: String) -> Finding
    {
        Finding(subject: subject, step: step, verdict: .warning, text: text, remedy: remedy, cause: cause)
    }

    static func bad(_ subject: String, _ step: String, _ cause: String, _ text: String, _ remedy: String) -> Finding {
        Finding(subject: subject, step: step, verdict: .bad, text: text, remedy: remedy, cause: cause)
    }

    /// The same, of less weight: something else does its work.
    var lessened: Finding {
        guard verdict == .bad else { return self }
        return Finding(subject: subject, step: step, verdict: .warning, text: text, remedy: remedy, cause: cause)
    }

    var json: JSONValue {
        var members: [String: JSONValue] = [
            "subject": .string(subject), "step": .string(step), "verdict": .string(verdict.rawValue),
            "text": .string(text),
        ]
        members["remedy"] = remedy.map { .string($0) }
        members["cause"] = cause.map { .string($0) }
        return .object(members)
    }

    func lines(_ style: Style) -> [String] {
        let mark: String
        switch verdict {
        case .ok: mark = style("ok  ", .good)
        case .warning: mark = style("WARN", .warning)
        case .bad: mark = style("BAD ", .bad)
        case .note: mark = style("    ", .dim)
        }
        var lines = ["  \(mark)  \(Format.padded(step, -12)) \(visible(text, limit: 1000))"]
        if let remedy { lines.append("        " + style("→ \(remedy)", .strong)) }
        return lines
    }
}
