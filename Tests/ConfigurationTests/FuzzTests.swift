// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

/// Any bytes give a configuration that is complete and reproducible, and never a trap.
@Suite struct FuzzTests {
    /// What the parsers look at, and what has a habit of breaking them.
    private static let tokens: [String] =
        RoundTripTests.other.flatMap { [$0.section, $0.key, $0.value, "\($0.key) = \($0.value)"] } + [
            "\n", "\n", "\n", "\r\n", " = ", "=", "[", "]", "\"", "#", ";", ",", ":", ".", "-", "%", " ", "\t", "\\",
            "\\u",
            "\0", "\u{301}", "\u{2028}", "\u{feff}", "é", "😀",
            "99999999999999999999", "9223372036854775807", "-1", "0",
            "infinity", "h", "ms", "GiB", "[region \"", "[plugin \"", "specified_idc", "SPECIFIED_AGENT_ID",
        ]

    private func check(_ bytes: [UInt8]) {
        let parsed = ConfigurationFile.parse(text: bytes, file: path)
        let specified = SpecifiedEnvironment.parse(text: bytes, file: "env")
        let text = String(decoding: bytes.prefix(200), as: UTF8.self)
        let environment = ["specified_region": text, "SPECIFIED_AGENT_ID": String(text.reversed())]
        for result in [
            AgentConfiguration.load(from: parsed),
            AgentConfiguration.load(from: parsed, environment: environment, specifiedEnv: specified),
        ] {
            #expect(result.usable == parsed.usable)
            #expect(parsed.usable == parsed.diagnostics.isEmpty)
            for diagnostic in result.diagnostics {
                #expect(!diagnostic.description.utf8.contains { $0 < 0x20 || $0 == 0x7f })
            }
            let again = load(result.configuration.render())
            #expect(again.usable)
            #expect(again.configuration == result.configuration)
        }
        _ = Endpoint(text)
    }

    @Test(arguments: 0..<8)
    func randomBytes(seed: UInt64) {
        var generator = SeededGenerator(state: seed)
        for _ in 0..<100 {
            let count = Int.random(in: 0...400, using: &generator)
            check((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
    }

    @Test(arguments: 0..<8)
    func randomTokens(seed: UInt64) {
        var generator = SeededGenerator(state: seed &+ 1000)
        for _ in 0..<100 {
            let count = Int.random(in: 0...40, using: &generator)
            let text = (0..<count).map { _ in Self.tokens.randomElement(using: &generator) ?? "" }.joined()
            check(Array(text.utf8))
        }
    }

    /// Good files with a few bytes changed: most of them stay readable, and come further.
    @Test(arguments: 0..<8)
    func mutatedFiles(seed: UInt64) {
        var generator = SeededGenerator(state: seed &+ 2000)
        let good = Array((AgentConfiguration().render() + "[plugin \"driver\"]\nmemory_max = 250M\n").utf8)
        let bytes = Array(Self.tokens.joined().utf8)
        for _ in 0..<25 {
            var text = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let position = Int.random(in: 0..<text.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: text[position] = bytes.randomElement(using: &generator) ?? 0
                case 1: text.remove(at: position)
                default: text.insert(bytes.randomElement(using: &generator) ?? 0, at: position)
                }
            }
            check(text)
        }
    }
}
