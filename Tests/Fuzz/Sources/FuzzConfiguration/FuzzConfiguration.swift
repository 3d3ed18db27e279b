// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import FuzzSupport

/// Any bytes as the configuration file and as `specified_env`: always a complete configuration, which survives being
/// written and read again, and diagnostics that fit on a line.
@main
enum FuzzConfiguration {
    static func main() {
        unsafe fuzz { bytes, count in
            var input = unsafe FuzzInput(bytes, count)
            check(input.rest())
            return 0
        }
    }
}

private func check(_ bytes: [UInt8]) {
    let path = "/etc/elkeid/agent.conf"
    let parsed = ConfigurationFile.parse(text: bytes, file: path)
    expect(parsed.usable == parsed.diagnostics.isEmpty, "a file is usable if nothing is wrong with its syntax")
    let specified = SpecifiedEnvironment.parse(text: bytes, file: "/etc/elkeid/specified_env")
    let line = String(decoding: bytes.prefix { $0 != 0x0a }, as: UTF8.self)
    let environment = ["SPECIFIED_AGENT_ID": line, "specified_idc": line, "specified_region": line]
    for loaded in [
        AgentConfiguration.load(from: parsed),
        AgentConfiguration.load(from: parsed, specifiedEnv: specified),
        AgentConfiguration.load(from: parsed, environment: environment),
    ] {
        expect(loaded.usable == parsed.usable, "loading changed whether the file is usable")
        for diagnostic in loaded.diagnostics { checkLine(diagnostic.description) }
        let rendered = loaded.configuration.render()
        let again = AgentConfiguration.load(from: ConfigurationFile.parse(text: Array(rendered.utf8), file: path))
        expect(again.usable, "a rendered configuration cannot be parsed")
        expect(again.configuration == loaded.configuration, "a rendered configuration is another one")
        expect(again.configuration.render() == rendered, "a configuration is rendered in two ways")
    }
    if let endpoint = Endpoint(line) {
        expect(Endpoint(endpoint.description) == endpoint, "an endpoint does not survive its own description")
    }
}

private func checkLine(_ text: String) {
    expect(!text.utf8.contains { $0 < 0x20 || $0 == 0x7f }, "a diagnostic with control characters")
}
