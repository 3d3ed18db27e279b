// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration

let path = "/etc/elkeid/agent.conf"

func parse(_ text: String) -> ParseResult {
    ConfigurationFile.parse(text: Array(text.utf8), file: path)
}

func load(
    _ text: String,
    environment: [String: String] = [:],
    specifiedEnv: String? = nil
) -> LoadResult {
    let specifiedEnv = specifiedEnv.map {
        SpecifiedEnvironment.parse(text: Array($0.utf8), file: "/etc/elkeid/specified_env")
    }
    return AgentConfiguration.load(from: parse(text), environment: environment, specifiedEnv: specifiedEnv)
}

/// The diagnostics as `severity file:line: what; what to do`, the file without its folder.
func messages(_ diagnostics: [Diagnostic]) -> [String] {
    diagnostics.map { diagnostic in
        let text = diagnostic.description
        let folder = "/etc/elkeid/"
        return "\(diagnostic.severity) \(text.hasPrefix(folder) ? String(text.dropFirst(folder.count)) : text)"
    }
}

func error(_ line: Int?, _ message: String, _ remedy: String) -> Diagnostic {
    Diagnostic(.error, file: path, line: line, message: message, remedy: remedy)
}

func warning(_ line: Int?, _ message: String, _ remedy: String) -> Diagnostic {
    Diagnostic(.warning, file: path, line: line, message: message, remedy: remedy)
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
