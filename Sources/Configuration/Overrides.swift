// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Where a value of `[agent]` came from, if not from the file.
struct Origin {
    let file: String
    let line: Int?
    /// The name under which it was set there.
    let name: String
}

extension AgentConfiguration {
    /// The values that a host may have from its installation, and the names they go by, the stronger one first.
    ///
    /// `SPECIFIED_AGENT_ID` is what the original agent reads, `specified_id` what the original elkeidctl writes.
    private static let overrides: [(key: String, names: [String])] = [
        ("id", ["SPECIFIED_AGENT_ID", "specified_id"]),
        ("idc", ["specified_idc"]),
        ("region", ["specified_region"]),
    ]

    /// Applies `specified_env` and the environment; returns by key what was taken from where. Empty values count as
    /// absent.
    mutating func override(
        environment: [String: String],
        specifiedEnv: SpecifiedEnvironment?,
        diagnostics: inout DiagnosticList
    ) -> [String: Origin] {
        var origins: [String: Origin] = [:]
        for (key, names) in Self.overrides {
            // The strongest comes first; a bad one leaves the place to the next.
            var sources: [(text: String, origin: Origin)] = []
            for name in names {
                if let text = environment[name] {
                    sources.append((trimmed(text), Origin(file: "environment", line: nil, name: name)))
                }
            }
            for name in names {
                if let specifiedEnv, let value = specifiedEnv.values[name] {
                    let origin = Origin(file: specifiedEnv.path, line: value.line, name: name)
                    sources.append((trimmed(value.text), origin))
                }
            }
            for (text, origin) in sources where !text.isEmpty && origins[key] == nil {
                if let problem = take(text, as: key) {
                    diagnostics.add(
                        Diagnostic(
                            .error,
                            file: origin.file,
                            line: origin.line,
                            message: "\(origin.name): \(problem.message), not used",
                            remedy: problem.remedy
                        )
                    )
                } else {
                    origins[key] = origin
                }
            }
        }
        return origins
    }

    private mutating func take(_ text: String, as key: String) -> Problem? {
        // The original elkeidctl's `unset` writes the remaining keys without line ends.
        guard !text.utf8.contains(UInt8(ascii: "=")) else {
            return Problem("\(quoted(text)) looks like several settings run together", remedy: "set it again")
        }
        return Schema.agent.first { $0.name == key }?.assign(text, "", &agent).first
    }
}

extension AgentConfiguration {
    /// Characters that a line of `specified_env` means something else by, for one of its readers.
    private static let special = Array("=\"'\\$#;`".utf8)

    /// Sets the agent's id as an operator asks for it.
    ///
    /// - Returns: why that is not possible; then nothing is changed.
    public mutating func specify(id: String) -> String? {
        var new = self
        if let problem = new.take(id, as: "id") { return "id: \(problem.message)" }
        guard !id.isEmpty, !id.utf8.contains(where: Self.special.contains), id == trimmed(id) else {
            return "id: \(quoted(id)) has characters that mean something in a settings file, or none"
        }
        if let number = Double(id), number.isFinite {
            return "id: \(quoted(id)) reads as a number, which servers do not take for a name"
        }
        self = new
        return nil
    }

    /// Sets this host's IDC and region as a server asks for it; nil leaves one as it is.
    ///
    /// - Returns: why that is not possible; then nothing is changed.
    public mutating func specify(idc: String?, region: String?) -> String? {
        var new = self
        for (key, value) in [("idc", idc), ("region", region)] {
            guard let value else { continue }
            if let problem = new.take(value, as: key) { return "\(key): \(problem.message)" }
            guard !value.utf8.contains(where: Self.special.contains), value == trimmed(value) else {
                return "\(key): \(quoted(value)) has characters that mean something in a settings file"
            }
            if let number = Double(value), number.isFinite {
                return "\(key): \(quoted(value)) reads as a number, which servers do not take for a name"
            }
        }
        if let region, regions[region] == nil {
            let known = regions.keys.sorted().prefix(8).map(quoted).joined(separator: ", ")
            return "region: \(quoted(region)) is not defined on this host; \(known) is"
        }
        self = new
        return nil
    }
}
