// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How text is emphasised for a person, or not at all.
public struct Style: Sendable {
    public enum Tone: Sendable { case plain, good, warning, bad, dim, strong }

    public let isColoured: Bool

    public init(isColoured: Bool) { self.isColoured = isColoured }

    /// Colours are for terminals, and not for people who do not want them (no-color.org) or terminals that have none.
    public static func isWanted(_ environment: [String: String], isTerminal: Bool) -> Bool {
        isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    public func callAsFunction(_ text: String, _ tone: Tone) -> String {
        guard isColoured, let code = Self.code(tone) else { return text }
        return "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }

    private static func code(_ tone: Tone) -> String? {
        switch tone {
        case .plain: nil
        case .good: "32"
        case .warning: "33"
        case .bad: "31"
        case .dim: "2"
        case .strong: "1"
        }
    }
}

/// A piece of a line, whose width is counted without what emphasises it.
public struct Styled: Sendable {
    public var text: String
    public var tone = Style.Tone.plain

    public init(_ text: String, _ tone: Style.Tone = .plain) {
        self.text = text
        self.tone = tone
    }
}
