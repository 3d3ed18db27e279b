// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Foundation
import Testing

/// The file that the packages install.
@Suite struct SampleTests {
    private static func sample() throws -> String {
        let file = URL(filePath: #filePath).appending(path: "../../../packaging/agent.conf").standardized
        return try String(contentsOf: file, encoding: .utf8)
    }

    @Test func sampleIsTheDefaults() throws {
        let result = load(try Self.sample())
        #expect(messages(result.diagnostics) == [])
        #expect(result.configuration == AgentConfiguration())
    }

    @Test func sampleHasEveryKey() throws {
        let sample = try Self.sample()
        #expect(RoundTripTests.keys(sample) == RoundTripTests.keys(AgentConfiguration().render()))
    }

    /// Lines that start with `#` and no blank are settings; without the `#` they must be good ones.
    @Test func samplesCommentedSettingsAreGood() throws {
        let lines = try Self.sample().split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.map { line in
            line.first == "#" && line.dropFirst().first.map { $0 != " " } == true ? line.dropFirst() : line
        }.joined(separator: "\n")
        let result = load(text)
        #expect(messages(result.diagnostics) == [])
        #expect(result.configuration.pluginOverrides.keys.sorted() == ["driver"])
        #expect(result.configuration.memoryMax(plugin: "driver") == .at(250 << 20))
        #expect(result.configuration.cpuMax(plugin: "driver")?.percent == 10)
    }
}
