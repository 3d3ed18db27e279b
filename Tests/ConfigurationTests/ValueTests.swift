// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

@Suite struct ValueTests {
    @Test(arguments: [
        ("0", 0), ("1", 1), ("4096", 4096), ("512B", 512), ("1K", 1024), ("1KiB", 1024), ("3M", 3 << 20),
        ("3 MiB", 3 << 20), ("250M", 250 << 20), ("1G", 1 << 30), ("1024GiB", 1 << 40), ("00012", 12),
    ])
    func readsSizes(text: String, bytes: Int) {
        let result = load("[spool]\ndisk = \(text)\n")
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration.spool.disk == bytes)
    }

    @Test(arguments: [
        ("0", Duration.zero), ("0s", .zero), ("100ms", .milliseconds(100)), ("2s", .seconds(2)), ("7", .seconds(7)),
        ("1500 ms", .milliseconds(1500)), ("10s", .seconds(10)),
    ])
    func readsShortDurations(text: String, duration: Duration) {
        let result = load("[transfer]\nlinger = \(text)\n")
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration.transfer.linger == duration)
    }

    @Test(arguments: [("1min", 60), ("5m", 300), ("1h", 3600), ("90", 90), ("60min", 3600)])
    func readsLongDurations(text: String, seconds: Int) {
        let result = load("[timeouts]\nmalformed_log = \(text)\n")
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration.timeouts.malformedLog == .seconds(seconds))
    }

    @Test(arguments: [
        ("on", true), ("yes", true), ("true", true), ("1", true), ("off", false), ("no", false), ("false", false),
        ("0", false),
    ])
    func readsSwitches(text: String, value: Bool) {
        let result = load("[plugins]\nhigh_priority_pipe = \(text)\n")
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration.plugins.highPriorityPipe == value)
    }

    @Test(arguments: ["10%", "1%", "150 %", "819200%"])
    func readsCPUShares(text: String) throws {
        let result = load("[plugins]\ncpu_max = \(text)\n")
        #expect(result.diagnostics.isEmpty)
        let digits = text.filter(\.isNumber)
        #expect(result.configuration.plugins.cpuMax == CPUShare(percent: try #require(Int(digits))))
    }

    @Test(arguments: [
        ("127.0.0.1:6751", "127.0.0.1", 6751), ("[::1]:80", "::1", 80), ("[2001:db8::1]:65535", "2001:db8::1", 65535),
        ("ac.example.com:1", "ac.example.com", 1), ("ac:443", "ac", 443), ("a_b.svc.:443", "a_b.svc.", 443),
        ("[::ffff:10.0.0.1]:8", "::ffff:10.0.0.1", 8), ("1und1.de:080", "1und1.de", 80),
    ])
    func readsEndpoints(text: String, host: String, port: UInt16) throws {
        let endpoint = try #require(Endpoint(text))
        #expect(endpoint.host == host)
        #expect(endpoint.port == port)
        #expect(endpoint.isIPv6 == host.contains(":"))
        #expect(Endpoint(endpoint.description) == endpoint)
        #expect(Endpoint(host: host, port: Int(port)) == endpoint)
    }

    @Test(arguments: [
        "", ":", "host", "host:", ":80", "host:0", "host:65536", "host:99999999999999999999", "host:-1", "host:+1",
        "host:8a", "host:80 ", "host: 80", "::1:6751", "[::1]", "[::1]80", "[::1:80", "[]:80", "[host]:80",
        "[127.0.0.1]:80",
        "[fe80::1%eth0]:80", "http://host:80", "http://host", "10.0.0.256:80", "1.2.3:80", "1:80", "-a:80", "a-:80",
        "a..b:80", ".:80", "hö:80", "a b:80", "a\0:80", "127.0.0.1\0:80", "\u{301}:80", "[\u{301}]:80", "]:80", "[:80",
    ])
    func refusesEndpoints(text: String) {
        #expect(Endpoint(text) == nil)
    }

    @Test func limitsTheLengthOfNames() {
        let label = String(repeating: "a", count: 63)
        #expect(Endpoint("\(label):80") != nil)
        #expect(Endpoint("\(label)a:80") == nil)
        let longest = Array(repeating: label, count: 4).joined(separator: ".").dropLast(2)
        #expect(Endpoint("\(longest):80") != nil)
        #expect(Endpoint("\(longest)a:80") == nil)
    }

    @Test func makesEndpointsOfParts() {
        #expect(Endpoint(host: "::1", port: 80)?.description == "[::1]:80")
        #expect(Endpoint(host: "[::1]", port: 80) == nil)
        #expect(Endpoint(host: "a", port: 0) == nil)
        #expect(Endpoint(host: "a", port: 65536) == nil)
        #expect(Endpoint(host: "127.0.0.1\0.evil", port: 80) == nil)
    }
}
