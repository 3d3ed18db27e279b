// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A configuration file as written: sections with their lines, nothing interpreted.
///
/// The syntax is that of a systemd unit (systemd.syntax(7)) with git-like section names: `[section]`,
/// `[section "name"]`, `key = value`, comments on lines of their own that start with `#` or `;`. There is no quoting
/// of values and no continuation of lines.
public struct ConfigurationFile: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public var key: String
        /// Without the blanks around it; may be empty.
        public var value: String
        public var line: Int
    }

    public struct Section: Sendable, Equatable {
        public var kind: String
        /// The quoted part of `[kind "name"]`.
        public var name: String?
        public var line: Int
        public var entries: [Entry]

        /// The header as it stands in the file.
        public var header: String { name.map { "[\(kind) \"\($0)\"]" } ?? "[\(kind)]" }
    }

    /// The path, for messages.
    public var path: String
    /// The folder that relative paths are relative to, without a final slash unless it is the root.
    public var folder: String
    /// In the order of the file; a section that occurs twice is here twice.
    public var sections: [Section]

    /// Parses a file. Never traps, whatever the bytes are.
    ///
    /// - Parameters:
    ///   - text: The content: UTF-8, at most 1 MiB, lines of at most 8 KiB; a byte order mark and CRLF are tolerated.
    ///   - file: The path of the file, for messages. It should be absolute.
    ///   - folder: What relative paths are relative to, if not the folder of `file`: the last good copy of a
    ///     configuration lies elsewhere than its original.
    public static func parse(text: [UInt8], file: String, folder: String? = nil) -> ParseResult {
        var parser = Parser(path: file, folder: folder ?? self.folder(of: file))
        return parser.parse(text)
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
    }
}

/// What came out of a file: its content and what is wrong with its syntax.
public struct ParseResult: Sendable, Equatable {
    public var file: ConfigurationFile
    public var diagnostics: [Diagnostic]
    /// False if the syntax is broken: such a file must not be used, not even in part.
    public var usable: Bool
}

private struct Parser {
    var file: ConfigurationFile
    var diagnostics = DiagnosticList()

    init(path: String, folder: String) {
        file = ConfigurationFile(path: path, folder: folder, sections: [])
    }

    mutating func parse(_ text: [UInt8]) -> ParseResult {
        do throws(Problem) {
            try readLines(of: text)
        } catch {
            add(error, line: nil)
        }
        // Whatever this parser reports is an error of syntax.
        let found = diagnostics.finished(file: file.path)
        return ParseResult(file: file, diagnostics: found, usable: found.isEmpty)
    }

    private mutating func readLines(of text: [UInt8]) throws(Problem) {
        var lines = try TextLines(text)
        var atEnd = false
        while !atEnd {
            do throws(Problem) {
                if let line = try lines.next() {
                    try read(line, number: lines.number)
                } else {
                    atEnd = true
                }
            } catch {
                add(error, line: lines.number)
            }
        }
    }

    private mutating func read(_ line: String, number: Int) throws(Problem) {
        guard let first = line.utf8.first, first != UInt8(ascii: "#"), first != UInt8(ascii: ";") else { return }
        if first == UInt8(ascii: "[") {
            let (kind, name) = try header(line)
            file.sections.append(.init(kind: kind, name: name, line: number, entries: []))
            return
        }
        guard let (key, value) = cut(line, at: [UInt8(ascii: "=")]) else {
            throw Problem(
                "\(quoted(line)) is not a [section], a comment or key = value",
                remedy: "write key = value, or put # in front to make it a comment"
            )
        }
        guard !key.isEmpty else {
            throw Problem("there is no key in front of the =", remedy: "write key = value")
        }
        guard !file.sections.isEmpty else {
            throw Problem(
                "the key \(quoted(key)) stands before any section",
                remedy: "put the header of its section above it, such as [agent]"
            )
        }
        file.sections[file.sections.count - 1].entries.append(.init(key: key, value: value, line: number))
    }

    /// Reads `[kind]` or `[kind "name"]`.
    private func header(_ line: String) throws(Problem) -> (kind: String, name: String?) {
        let malformed = Problem(
            "the section header \(quoted(line)) is malformed",
            remedy: "write [section] or [section \"name\"]"
        )
        guard line.utf8.last == UInt8(ascii: "]"), line.utf8.count > 2 else { throw malformed }
        let inner = trimmed(line[line.utf8.index(after: line.startIndex)..<line.utf8.index(before: line.endIndex)])
        let quote = UInt8(ascii: "\"")
        let (kind, rest) = cut(inner, at: [UInt8(ascii: " "), UInt8(ascii: "\t")]) ?? (inner, "")
        guard !kind.isEmpty, kind.utf8.allSatisfy(isNameByte) else { throw malformed }
        if rest.isEmpty { return (kind, nil) }
        guard rest.utf8.count >= 2, rest.utf8.first == quote, rest.utf8.last == quote else { throw malformed }
        let name = rest[rest.utf8.index(after: rest.startIndex)..<rest.utf8.index(before: rest.endIndex)]
        guard !name.utf8.contains(quote) else { throw malformed }
        return (kind, String(name))
    }

    private mutating func add(_ problem: Problem, line: Int?) {
        let path = file.path
        diagnostics.add(.error) {
            Diagnostic(.error, file: path, line: line, message: problem.message, remedy: problem.remedy)
        }
    }
}

/// Letters, digits, `_` and `-`: what a plugin's name is made of, and a section's kind too.
func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
    default: false
    }
}
