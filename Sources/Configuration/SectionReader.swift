// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Reads sections into the model and keeps track of what was said where.
struct SectionReader {
    let file: ConfigurationFile
    var diagnostics = DiagnosticList()
    /// The line of each single value, by section header and key.
    private var lines: [Place: Int] = [:]

    private struct Place: Hashable {
        let header: String
        let key: String
    }

    init(file: ConfigurationFile) {
        self.file = file
    }

    /// Where a key of a section without a name was set last; nil if it was not.
    func line(of key: String, in kind: String) -> Int? {
        lines[Place(header: "[\(kind)]", key: key)]
    }

    mutating func read<Section>(
        _ section: ConfigurationFile.Section,
        _ keys: [Key<Section>],
        into target: inout Section
    ) {
        for entry in section.entries {
            guard let key = keys.first(where: { $0.name == entry.key }) else {
                reportUnknownKey(entry, in: section, known: keys.map(\.name))
                continue
            }
            let name = "\(section.header) \(key.name)"
            if !key.isList {
                let earlier = lines.updateValue(entry.line, forKey: Place(header: section.header, key: key.name))
                if let earlier {
                    report(
                        .warning,
                        entry.line,
                        "\(name) was already set in line \(earlier); the later line counts",
                        remedy: "remove one of them"
                    )
                }
            }
            if Self.hasTrailingComment(entry.value) {
                report(
                    .warning,
                    entry.line,
                    "\(name): what looks like a comment is part of the value",
                    remedy: "put comments on lines of their own"
                )
            }
            for problem in key.assign(entry.value, file.folder, &target) {
                let used = key.render(target).joined()
                let consequence = key.isList ? "left out" : used.isEmpty ? "not used" : "using \(used)"
                report(.error, entry.line, "\(name): \(problem.message), \(consequence)", remedy: problem.remedy)
            }
        }
    }

    /// Whether a region can have this name.
    mutating func acceptsRegion(_ name: String, of section: ConfigurationFile.Section) -> Bool {
        do throws(Problem) {
            guard name == trimmed(name) else {
                throw Problem("\(quoted(name)) has blanks around it", remedy: "remove them")
            }
            _ = try plainText(name, limit: AgentConfiguration.Bounds.name)
            return true
        } catch {
            report(
                .error,
                section.line,
                "the section is not used: as a region's name \(error.message)",
                remedy: error.remedy
            )
            return false
        }
    }

    /// Whether a plugin can have this name: the rule of the manager's components, and a name of a folder.
    mutating func acceptsPlugin(_ name: String, of section: ConfigurationFile.Section) -> Bool {
        if !name.isEmpty, name.utf8.allSatisfy(isNameByte) { return true }
        report(
            .error,
            section.line,
            "the section is not used: \(quoted(name)) cannot be the name of a plugin",
            remedy: "write letters, digits, _ and - only"
        )
        return false
    }

    mutating func reportMissingName(of section: ConfigurationFile.Section) {
        report(
            .error,
            section.line,
            "the section \(section.header) is not used: it has no name",
            remedy: "write [\(section.kind) \"NAME\"]"
        )
    }

    mutating func reportUnknown(_ section: ConfigurationFile.Section) {
        let line = section.line
        diagnostics.add(.warning) { [path = file.path] in
            let known = Schema.sections
            let near = nearest(to: section.kind, among: known.map(\.kind))
            let header = known.first { $0.kind == near }?.header
            return Diagnostic(
                .warning,
                file: path,
                line: line,
                message: "the section \(Self.shown(section)) is unknown and ignored",
                remedy: header.map { "did you mean \($0)?" } ?? "remove it, or check the version of the agent"
            )
        }
    }

    private mutating func reportUnknownKey(
        _ entry: ConfigurationFile.Entry,
        in section: ConfigurationFile.Section,
        known: [String]
    ) {
        diagnostics.add(.warning) { [path = file.path] in
            let remedy: String
            if let near = nearest(to: entry.key, among: known) {
                remedy = "did you mean \(near)?"
            } else if let home = Schema.sections.first(where: { $0.keys.contains(entry.key) }) {
                remedy = "it belongs into \(home.header)"
            } else {
                remedy = "remove it, or check the version of the agent"
            }
            return Diagnostic(
                .warning,
                file: path,
                line: entry.line,
                message: "the key \(quoted(entry.key)) is unknown in \(Self.shown(section)) and ignored",
                remedy: remedy
            )
        }
    }

    mutating func report(_ severity: Diagnostic.Severity, _ line: Int?, _ message: String, remedy: String) {
        diagnostics.add(Diagnostic(severity, file: file.path, line: line, message: message, remedy: remedy))
    }

    /// A header for a message: whatever is in the name, it is one short line.
    private static func shown(_ section: ConfigurationFile.Section) -> String {
        section.name.map { "[\(section.kind) \(quoted($0))]" } ?? section.header
    }

    /// ` #` or ` ;` inside a value.
    private static func hasTrailingComment(_ value: String) -> Bool {
        zip(value.utf8, value.utf8.dropFirst()).contains { before, mark in
            (before == UInt8(ascii: " ") || before == UInt8(ascii: "\t"))
                && (mark == UInt8(ascii: "#") || mark == UInt8(ascii: ";"))
        }
    }
}
