// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The pauses of production, once for real; `PluginsTests` has them on a clock that is made up.
extension Integration {
    @Suite(.alone, .enabled(if: TestEnvironment.isSoak)) struct SupervisionTiming {
        /// How much later than planned something may be on a machine that does other things as well, in seconds.
        private static let late = 3.0

        /// A first version that ends at once is started after 1, 2 and 4 s more, one that ends after 5 s likewise, and one that
        /// ignores everything is killed 14 s after it was asked to stop.
        @Test func restartsAndStops() throws {
            try Scenario.run { scenario in
                let web = try scenario.startWebServer()
                let server = try scenario.startServer()
                let note = "date +%s.%N >>times\n"
                let components = try [
                    TestComponent(script: "at-once", "1", note + "exit 1", at: web),
                    TestComponent(script: "after-5", "1", note + "sleep 5\nexit 1", at: web),
                    TestComponent(
                        script: "stubborn",
                        "1",
                        "trap '' TERM HUP INT\nwhile :; do sleep 0.2; done",
                        at: web
                    ),
                ]
                let agent = try scenario.startAgent()
                try agent.wait(for: "get connection successfully")
                try server.configure(components)
                let quick = try Self.times("at-once", 4, in: scenario)
                Self.expect(Self.pauses(quick), [1, 2, 4])
                let slow = try Self.times("after-5", 3, in: scenario)
                Self.expect(Self.pauses(slow), [6, 7])

                let asked = ContinuousClock.now
                try server.configure(Array(components.prefix(2)))
                try agent.wait(for: "plugin has ended: signal 9", seconds: 30)
                let taken = Double((ContinuousClock.now - asked).components.seconds)
                Self.expect([taken + 1], [14])
                print("starts at once: \(Self.pauses(quick)), after 5 s: \(Self.pauses(slow)); killed after \(taken) s")
                try agent.stop()
            }
        }

        /// When the plugin was started, `count` times.
        private static func times(_ name: String, _ count: Int, in scenario: Scenario) throws -> [Double] {
            try eventually("\(count) starts of \(name)", seconds: 60, state: scenario.state) {
                let times = text(of: scenario.file("times", of: name)).split(separator: "\n").compactMap { Double($0) }
                return times.count >= count ? Array(times.prefix(count)) : nil
            }
        }

        private static func pauses(_ times: [Double]) -> [Double] { zip(times.dropFirst(), times).map { $0 - $1 } }

        private static func expect(_ pauses: [Double], _ planned: [Double]) {
            for (pause, plan) in zip(pauses, planned) {
                #expect(pause >= plan - 0.05 && pause < plan + late, "\(pauses), planned \(planned)")
            }
        }
    }
}
