// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong in a configuration: where, what, and what to do about it.
public struct Diagnostic: Sendable, Equatable, CustomStringConvertible {
    public enum Severity: String, Sendable {
        /// The agent runs as configured; `--check-config` and SIGHUP refuse it all the same.
        case warning
        /// Something that was asked for is not in effect.
        case error
    }

    public var severity: Severity
    /// Path of the file, or `environment` for an environment variable.
    public var file: String
    /// Line in the file, from 1; nil where no single line is at fault.
    public var line: Int?
    /// What is wrong, and what is used instead.
    public var message: String
    /// What to do about it.
    public var remedy: String

    public init(_ severity: Severity, file: String, line: Int? = nil, message: String, remedy: String) {
        self.severity = severity
        self.file = file
        self.line = line
        self.message = message
        self.remedy = remedy
    }

    /// `file:line: what; what to do`, one line of text.
    public var description: String {
        let place = line.map { "\(file):\($0)" } ?? file
        return "\(place): \(message); \(remedy)"
    }
}

extension Sequence<Diagnostic> {
    /// Whether the configuration is to be refused.
    ///
    /// - Parameter strict: Warnings count as errors, as for `--check-config` and SIGHUP.
    public func hasErrors(strict: Bool) -> Bool {
        contains { strict || $0.severity == .error }
    }
}

/// Collects diagnostics up to a limit for each severity, so that a file of garbage cannot make a log of garbage.
struct DiagnosticList {
    /// More than anyone reads at once; a real file has a handful.
    static let limit = 100

    private(set) var all: [Diagnostic] = []
    private var warnings = 0
    private var errors = 0

    /// Adds a diagnostic. It is only built if there is room: finding a suggestion is not free.
    mutating func add(_ severity: Diagnostic.Severity, _ diagnostic: () -> Diagnostic) {
        let earlier: Int
        switch severity {
        case .warning:
            earlier = warnings
            warnings += 1
        case .error:
            earlier = errors
            errors += 1
        }
        if earlier < Self.limit { all.append(diagnostic()) }
    }

    mutating func add(_ diagnostic: Diagnostic) {
        add(diagnostic.severity) { diagnostic }
    }

    /// All diagnostics, with a last one for each severity that says how many were left out.
    func finished(file: String) -> [Diagnostic] {
        var result = all
        for (severity, count) in [(Diagnostic.Severity.warning, warnings), (.error, errors)] where count > Self.limit {
            result.append(
                Diagnostic(
                    severity,
                    file: file,
                    message: "\(count - Self.limit) more \(severity.rawValue)s are not listed",
                    remedy: "correct the ones above and check again"
                )
            )
        }
        return result
    }
}

/// Why a value is refused; the caller knows the place.
struct Problem: Error {
    let message: String
    let remedy: String

    init(_ message: String, remedy: String) {
        self.message = message
        self.remedy = remedy
    }
}

/// `text` in quotes for a message: shortened, and with control characters made visible.
func quoted(_ text: some StringProtocol) -> String {
    let longest = 60
    var result = "\""
    for scalar in text.unicodeScalars.prefix(longest) {
        result += isControl(scalar) ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
    }
    if text.unicodeScalars.dropFirst(longest).first != nil { result += "…" }
    return result + "\""
}

/// C0 and C1 control characters, DEL, and the two Unicode line separators.
func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x2028, 0x2029: true
    default: false
    }
}
