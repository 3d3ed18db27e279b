// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing
import Upgrade

/// What outlives a kill.
@Suite struct UpgradeStateTests {
    private static var state: UpgradeState {
        UpgradeState(
            from: "1.7.0.24",
            to: "1.7.0.25",
            sha256: "AB12",
            kind: .rpm,
            isForeign: true,
            configuration: "/etc/elkeid/agent.conf",
            controlSocket: "/run/elkeid/agent.sock",
            logFile: "/var/log/elkeid/elkeid-upgrade.log",
            limit: 300
        )
    }

    @Test(arguments: [
        UpgradeState.Phase.prepared, .installing, .starting, .watching, .returning, .restarting, .succeeded, .undone,
    ])
    func isReadAsItWasWritten(phase: UpgradeState.Phase) throws {
        var state = Self.state
        state.enter(phase)
        state.attempts = 3
        state.wasConnected = true
        state.pluginDirectory = "/var/lib/elkeid/plugin"
        state.plugins = ["driver"]
        state.isPutOff = true
        state.reason = "it does not start"
        state.complaint = "\"odd\""
        state.gap = 444
        let read = UpgradeState(json: try JSONValue(parsing: state.json.encoded))
        #expect(read == state)
        #expect(state.isFinal == (phase == .succeeded || phase == .undone))
    }

    @Test func aPhaseBeginsWithoutAttempts() {
        var state = Self.state
        state.attempts = 5
        state.enter(.starting)
        #expect(state.attempts == 0 && state.phase == .starting)
    }

    @Test(arguments: ["{}", "[]", #"{"format":2,"phase":"prepared"}"#, #"{"format":1,"phase":"dancing"}"#])
    func whatMakesNoSenseIsNone(text: String) throws {
        #expect(UpgradeState(json: try JSONValue(parsing: Array(text.utf8))) == nil)
    }

    @Test func badVersionsAreKnownByVersionAndChecksum() throws {
        var bad = BadVersions()
        bad.mark(version: "2.0.0.0", sha256: "AB", "it does not start")
        #expect(bad.reason(version: "2.0.0.0", sha256: "ab", allowsForeign: false) == "it does not start")
        #expect(bad.reason(version: "2.0.0.0", sha256: "cd", allowsForeign: false) == nil)
        #expect(bad.reason(version: "2.0.0.1", sha256: "ab", allowsForeign: false) == nil)
        bad.mark(version: "2.0.0.0", sha256: "ab", "nor now")
        #expect(bad.entries.count == 1)
        #expect(bad.reason(version: "2.0.0.0", sha256: "ab", allowsForeign: false) == "nor now")
        #expect(BadVersions(json: try JSONValue(parsing: bad.json.encoded)) == bad)
    }

    @Test func anotherAgentsPackageIsBadUntilItIsAllowed() throws {
        var bad = BadVersions()
        bad.mark(version: "2.0.0.0", sha256: "ab", "not ours", isForeign: true)
        bad.mark(version: "2.0.0.1", sha256: "ab", "it does not start")
        let read = BadVersions(json: try JSONValue(parsing: bad.json.encoded))
        #expect(read.reason(version: "2.0.0.0", sha256: "ab", allowsForeign: false) == "not ours")
        #expect(read.reason(version: "2.0.0.0", sha256: "ab", allowsForeign: true) == nil)
        #expect(read.reason(version: "2.0.0.1", sha256: "ab", allowsForeign: true) == "it does not start")
    }

    @Test func theOldestBadVersionIsForgotten() {
        var bad = BadVersions()
        for number in 0..<9 { bad.mark(version: "1.0.0.\(number)", sha256: "ab", "") }
        #expect(bad.entries.count == 8 && bad.reason(version: "1.0.0.0", sha256: "ab", allowsForeign: false) == nil)
    }

    @Test func damagedBadVersionsAreLeftOut() throws {
        let text = #"[{"version":"1.0.0.0"},7,{"version":"1.0.0.1","sha256":"AB","reason":"r"}]"#
        let bad = BadVersions(json: try JSONValue(parsing: Array(text.utf8)))
        #expect(bad.entries.count == 1 && bad.reason(version: "1.0.0.1", sha256: "ab", allowsForeign: false) == "r")
        #expect(BadVersions(json: .null).entries.isEmpty)
    }
}
