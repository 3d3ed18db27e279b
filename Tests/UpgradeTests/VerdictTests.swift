// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing
import Upgrade

/// What a new version has to show.
@Suite struct VerdictTests {
    private static func report(
        _ version: String = "2.0.0.0",
        pid: Int64 = 7,
        connected: Bool = true,
        configured: Bool = true,
        wanted: [String] = ["driver", "collector"],
        running: [String] = ["driver", "collector"],
        restarts: Int64 = 0
    ) -> AgentReport {
        AgentReport(
            version: version,
            pid: pid,
            isConnected: connected,
            isConfigured: configured,
            wanted: wanted,
            running: running,
            restarts: restarts
        )
    }

    private static func verdict(wasConnected: Bool = true, plugins: [String] = ["driver", "collector"]) -> Verdict {
        Verdict(version: "2.0.0.0", wasConnected: wasConnected, plugins: plugins)
    }

    private func take(_ report: AgentReport?, at time: Int64, _ verdict: inout Verdict) -> Bool {
        verdict.take(report, at: time)
    }

    @Test func isGoodOnceAllHasBeenWellForLongEnough() {
        var verdict = Self.verdict()
        #expect(take(Self.report(), at: 100, &verdict) == false)
        #expect(verdict.isWell)
        #expect(take(Self.report(), at: 100 + Verdict.settle - 1, &verdict) == false)
        #expect(take(Self.report(), at: 100 + Verdict.settle, &verdict) == true)
    }

    /// A report that is not good, and what is missing in it.
    @Test(arguments: [
        (report("1.0.0.0"), "what runs is version 1.0.0.0"),
        (report(connected: false), "it has no connection to a server"),
        (report(configured: false), "it has not received the server's configuration"),
        (report(running: ["driver"]), "plugins do not run: collector"),
        (report(running: []), "plugins do not run: driver, collector"),
        (nil, "it does not answer any more"),
    ])
    func anythingThatIsMissingBeginsTheTimeAnew(bad: AgentReport?, missing: String) {
        var verdict = Self.verdict()
        #expect(take(Self.report(), at: 0, &verdict) == false)
        #expect(take(bad, at: 9, &verdict) == false)
        #expect(!verdict.isWell)
        #expect(verdict.missing == missing)
        #expect(take(Self.report(), at: 10, &verdict) == false)
        #expect(take(Self.report(), at: 19, &verdict) == false)
        #expect(take(Self.report(), at: 20, &verdict) == true)
    }

    @Test func anotherProcessBeginsTheTimeAnew() {
        var verdict = Self.verdict()
        #expect(take(Self.report(pid: 7), at: 0, &verdict) == false)
        #expect(take(Self.report(pid: 8), at: 9, &verdict) == false)
        #expect(take(Self.report(pid: 8), at: 18, &verdict) == false)
        #expect(take(Self.report(pid: 8), at: 19, &verdict) == true)
    }

    @Test func aPluginThatWasStartedAgainBeginsTheTimeAnew() {
        var verdict = Self.verdict()
        #expect(take(Self.report(), at: 0, &verdict) == false)
        #expect(take(Self.report(restarts: 1), at: 9, &verdict) == false)
        #expect(take(Self.report(restarts: 1), at: 18, &verdict) == false)
        #expect(take(Self.report(restarts: 1), at: 19, &verdict) == true)
    }

    @Test func anOldVersionThatReachedNoServerAsksNoneOfTheNewOne() {
        var verdict = Self.verdict(wasConnected: false)
        let report = Self.report(connected: false, configured: false)
        #expect(take(report, at: 0, &verdict) == false)
        #expect(take(report, at: 10, &verdict) == true)
    }

    @Test func aPluginThatTheServerDoesNotWantAnyMoreNeedNotRun() {
        var verdict = Self.verdict()
        let report = Self.report(wanted: ["driver"], running: ["driver"])
        #expect(take(report, at: 0, &verdict) == false)
        #expect(take(report, at: 10, &verdict) == true)
    }

    @Test func saysThatNothingHasAnswered() {
        var verdict = Self.verdict()
        #expect(take(nil, at: 0, &verdict) == false)
        #expect(verdict.missing == "it has not answered")
    }

    @Test func readsWhatAnAgentSays() throws {
        let text = """
            {"version":"2.0.0.0","pid":7,"connection":{"state":"running"},"configured":true,"wanted":["driver","collector"],
            "plugins":[{"name":"driver","state":"running","restarts":1},{"name":"collector","state":"waiting","restarts":2}]}
            """
        let status = try JSONValue(parsing: Array(text.utf8))
        #expect(AgentReport(status: status) == Self.report(running: ["driver"], restarts: 3))
        #expect(AgentReport(status: .object(["pid": .integer(1)])) == nil)
    }
}
