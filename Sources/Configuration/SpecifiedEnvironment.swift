// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The content of `specified_env`, the file that `elkeidctl set` writes: Java-properties lines `key = value`.
///
/// systemd reads the same file as an `EnvironmentFile`, so a value may stand in double quotes, and any variable may be
/// in it: keys that mean nothing to the agent are not reported.
public struct SpecifiedEnvironment: Sendable, Equatable {
    public struct Value: Sendable, Equatable {
        public var text: String
        public var line: Int
    }

    /// The path, for messages.
    public var path: String
    /// The last value of each key.
    public var values: [String: Value]
    /// Lines that could not be read; they are left out, the others count.
    public var diagnostics: [Diagnostic]

    /// Parses the file. Never traps, whatever the bytes are.
    ///
    /// `#`, `!` and `;` start a comment line, `=` or `:` separates key and value, and the escapes of
    /// `java.util.Properties.load` are undone (`\t`, `\n`, `\r`, `\f`, `\uXXXX`, any other character for itself).
    /// Continued lines, which elkeidctl never writes, are not joined.
    public static func parse(text: [UInt8], file: String) -> SpecifiedEnvironment {
        var result = SpecifiedEnvironment(path: file, values: [:], diagnostics: [])
        var found = DiagnosticList()
        func report(_ problem: Problem, line: Int?) {
            found.add(.error) {
                Diagnostic(.error, file: file, line: line, message: problem.message, remedy: problem.remedy)
            }
        }
        do throws(Problem) {
            var lines = try TextLines(text)
            var atEnd = false
            while !atEnd {
                do throws(Problem) {
                    if let line = try lines.next() {
                        try result.read(line, number: lines.number)
                    } else {
                        atEnd = true
                    }
                } catch {
                    report(error, line: lines.number)
                }
            }
        } catch {
            report(error, line: nil)
        }
        result.diagnostics = found.finished(file: file)
        return result
    }

    private mutating func read(_ line: String, number: Int) throws(Problem) {
        let comments = [UInt8(ascii: "#"), UInt8(ascii: "!"), UInt8(ascii: ";")]
        guard let first = line.utf8.first, !comments.contains(first) else { return }
        guard let (key, value) = cut(line, at: [UInt8(ascii: "="), UInt8(ascii: ":")]), !key.isEmpty else {
            throw Problem("\(quoted(line)) is not key = value, left out", remedy: "write key = value")
        }
        values[Self.unescaped(key)] = Value(text: Self.unescaped(Self.unquoted(value)), line: number)
    }

    private static func unquoted(_ text: String) -> String {
        let quote = UInt8(ascii: "\"")
        guard text.utf8.count >= 2, text.utf8.first == quote, text.utf8.last == quote else { return text }
        return String(text[text.utf8.index(after: text.startIndex)..<text.utf8.index(before: text.endIndex)])
    }

    private static func unescaped(_ text: String) -> String {
        guard text.utf8.contains(UInt8(ascii: "\\")) else { return text }
        var units: [UInt16] = []
        var rest = text.utf16[...]
        while let unit = rest.popFirst() {
            guard unit == 0x5c, let escaped = rest.popFirst() else {
                // A backslash at the very end says nothing.
                if unit != 0x5c { units.append(unit) }
                continue
            }
            switch Unicode.Scalar(escaped) {
            case "t": units.append(0x09)
            case "n": units.append(0x0a)
            case "f": units.append(0x0c)
            case "r": units.append(0x0d)
            case "u":
                let digits = String(decoding: rest.prefix(4), as: UTF16.self)
                if digits.utf8.count == 4, digits.utf8.first != UInt8(ascii: "+"), let unit = UInt16(digits, radix: 16)
                {
                    units.append(unit)
                    rest = rest.dropFirst(4)
                } else {
                    units.append(escaped)
                }
            default: units.append(escaped)
            }
        }
        // Unpaired surrogates become U+FFFD.
        return String(decoding: units, as: UTF16.self)
    }
}

extension SpecifiedEnvironment {
    /// The file with some keys set: their lines are replaced or added, everything else stays as it is.
    public static func setting(_ values: [String: String], in text: [UInt8]) -> [UInt8] {
        var rest = values
        var lines: [[UInt8]] = []
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            guard let key = key(of: line), values[key] != nil else {
                lines.append(Array(line))
                continue
            }
            // Of several lines the last one counts: one is enough.
            if let value = rest.removeValue(forKey: key) { lines.append(Array("\(key) = \(value)".utf8)) }
        }
        while lines.last?.isEmpty == true { lines.removeLast() }
        for (key, value) in rest.sorted(by: { $0.key < $1.key }) { lines.append(Array("\(key) = \(value)".utf8)) }
        return Array(lines.joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")]
    }

    /// A byte order mark in front of the first one is not part of it.
    private static func key(of line: ArraySlice<UInt8>) -> String? {
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        let text = line.starts(with: mark) ? line.dropFirst(mark.count) : line
        return cut(String(decoding: text, as: UTF8.self), at: [UInt8(ascii: "="), UInt8(ascii: ":")])?.0
    }

    /// The file without the lines of some keys; everything else stays as it is.
    public static func removing(_ keys: [String], from text: [UInt8]) -> [UInt8] {
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).filter { line in
            key(of: line).map { !keys.contains($0) } ?? true
        }
        return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
    }
}
