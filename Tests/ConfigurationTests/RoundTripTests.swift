// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

@Suite struct RoundTripTests {
    /// Every key there is, with a value that is not its default.
    static let other: [(section: String, key: String, value: String)] = [
        ("[agent]", "id", "my-host"), ("[agent]", "work_dir", "/w"), ("[agent]", "log_dir", "/l"),
        ("[agent]", "log_level", "critical"), ("[agent]", "idc", "east"), ("[agent]", "region", "cn"),
        ("[agent]", "control_socket", "/s"), ("[tls]", "ca", "/ca"), ("[tls]", "certificate", "/crt"),
        ("[tls]", "private_key", "/key"), ("[tls]", "server_name", "example.com"),
        ("[region \"default\"]", "service_discovery", "sd:1"), ("[region \"default\"]", "private", "[::1]:2"),
        ("[region \"default\"]", "public", "9.9.9.9:3"), ("[transfer]", "compression", "zstd"),
        ("[transfer]", "linger", "0s"), ("[transfer]", "message_size", "16385"), ("[spool]", "memory", "1MiB"),
        ("[spool]", "disk", "0"), ("[spool]", "when_full", "block"), ("[plugins]", "work_dir", "/p"),
        ("[plugins]", "memory_max", "3GiB"), ("[plugins]", "cpu_max", "150%"),
        ("[plugins]", "pids_max", "64"), ("[plugin \"x\"]", "pids_max", "infinity"),
        ("[plugins]", "high_priority_pipe", "on"),
        ("[plugin \"x\"]", "memory_max", "infinity"), ("[plugin \"x\"]", "cpu_max", "7%"),
        ("[agent]", "log_max_size", "64KiB"), ("[agent]", "log_max_files", "0"), ("[agent]", "log_max_age", "1d"),
        ("[transfer]", "proxy", "http://u:p@w@proxy:3128"), ("[timeouts]", "discovery", "2s"),
        ("[timeouts]", "conflict_abnormal", "1min"), ("[timeouts]", "stop", "90s"),
        ("[timeouts]", "directory_size", "1h"), ("[timeouts]", "connect", "10ms"),
        ("[timeouts]", "tls_handshake", "1001ms"), ("[timeouts]", "call_accept", "1h"),
        ("[timeouts]", "reconnect_min", "59s"), ("[timeouts]", "reconnect_max", "59min"),
        ("[timeouts]", "keepalive", "10s"), ("[timeouts]", "keepalive_timeout", "1s"),
        ("[timeouts]", "plugin_drain", "40s"), ("[timeouts]", "plugin_term", "3s"), ("[timeouts]", "flush", "1s"),
        ("[timeouts]", "heartbeat", "5min"),
        ("[timeouts]", "plugin_restart_min", "2s"), ("[timeouts]", "plugin_restart_max", "30s"),
        ("[timeouts]", "malformed_log", "1s"), ("[plugins]", "download_ca", "/web-ca"),
        ("[plugins]", "download_proxy", "http://u:p@proxy:3128"), ("[timeouts]", "plugin_healthy", "2s"),
        ("[upgrade]", "enabled", "off"), ("[upgrade]", "allow_lower", "on"), ("[upgrade]", "allow_foreign", "on"),
        ("[timeouts]", "upgrade", "20s"), ("[timeouts]", "probation", "3s"),
        ("[timeouts]", "download", "1h"),
        ("[timeouts]", "download_stall", "2s"),
        ("[timeouts]", "download_retry_min", "2s"), ("[timeouts]", "download_retry_max", "3s"),
        ("[timeouts]", "install_retry_min", "2s"), ("[timeouts]", "install_retry_max", "1h"),
        ("[spool]", "replay_rate", "64KiB"), ("[timeouts]", "confirm_ping", "5s"),
        ("[timeouts]", "spool_open", "1s"), ("[timeouts]", "spool_age", "1s"), ("[timeouts]", "spool_sync", "1s"),
        ("[timeouts]", "spool_retry", "1s"), ("[timeouts]", "spool_patience", "1s"),
        ("[timeouts]", "settle", "1s"),
        ("[timeouts]", "upload", "1h"), ("[timeouts]", "upload_interval", "2s"),
    ]

    /// Header and key of every line of a file.
    static func keys(_ text: String) -> Set<String> {
        Set(parse(text).file.sections.flatMap { section in section.entries.map { "\(section.header) \($0.key)" } })
    }

    @Test(arguments: other.indices)
    func everyKeyIsReadAndRendered(index: Int) {
        let (section, key, value) = Self.other[index]
        let first = load("\(section)\n\(key) = \(value)\n").configuration
        #expect(first != AgentConfiguration())
        let text = first.render()
        #expect(text.contains("\(key) = \(value)\n"))
        #expect(load(text).configuration == first)
    }

    @Test func theTableHasEveryKey() {
        let all = AgentConfiguration().render() + "[plugin \"x\"]\nmemory_max =\ncpu_max =\npids_max =\n"
        #expect(Set(Self.other.map { "\($0.section) \($0.key)" }) == Self.keys(all))
    }

    @Test func theDefaultsRoundTripWithoutDiagnostics() {
        let result = load(AgentConfiguration().render())
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration == AgentConfiguration())
    }

    @Test func overridesArePartOfWhatIsRendered() {
        let result = load(
            "[region \"a\"]\nprivate = b:1\n[region \"ü\"]\npublic = c:1,d:2\n",
            environment: ["SPECIFIED_AGENT_ID": "x", "specified_region": "ü"]
        )
        #expect(result.diagnostics.isEmpty)
        let again = load(result.configuration.render())
        #expect(again.diagnostics.isEmpty)
        #expect(again.configuration == result.configuration)
        #expect(again.configuration.agent.id == "x")
    }

    @Test func aListOfAnyLengthRoundTrips() {
        let lines = (1...2000).map { "private = host-\($0).example.com:6751\n" }.joined()
        let result = load("[region \"default\"]\n" + lines)
        #expect(result.configuration.regions["default"]?.privateEndpoints.count == 2000)
        #expect(load(result.configuration.render()) == result)
    }
}
