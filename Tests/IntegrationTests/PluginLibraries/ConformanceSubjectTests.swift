// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Conformance
import Foundation
import Testing

extension Integration {
    /// Runs the checks on real processes: each known fault must be found by the check that is there for it.
    @Suite struct ConformanceSubjects {
        private static func options(_ program: String, _ checks: [Check]) throws -> ConformanceOptions {
            var options = ConformanceOptions()
            options.plugin = try TestEnvironment.builtProgram(program)
            options.checks = checks
            options.timeout = 3
            options.stall = 1
            options.observe = 1
            return options
        }

        @Test(
            arguments: [
                ("ends-at-once", .start, .fail, "exit code 9"),
                ("talks", .start, .warn, "standard output"),
                ("wakes", .idle, .warn, "wakes up"),
                ("dies-of-task", .tasks, .fail, "unknown type"),
                ("single-writes", .flush, .warn, "pieces"),
                ("ignores-end", .stop, .fail, "still runs"),
                ("torn", .stop, .fail, "torn"),
                ("fails-at-end", .stop, .warn, "exit code 3"),
                ("leaves-child", .stop, .warn, "1 process"),
                ("ignores-term", .sigterm, .fail, "still runs"),
                ("spins", .agentEnd, .fail, "turns in a loop"),
                ("sigpipe-kills", .agentEnd, .warn, "SIGPIPE"),
                ("dies-stalled", .backPressure, .fail, "exit code 4"),
                ("grows-stalled", .backPressure, .warn, "memory grew"),
                ("tears-stalled", .backPressure, .fail, "torn"),
                ("takes-five", .highPriority, .fail, "not offered"),
                ("malformed", .frames, .fail, "malformed"),
                ("huge", .frames, .fail, "announced"),
                ("milliseconds", .frames, .warn, "timestamp"),
            ] as [(String, Check, Verdict, String)]
        )
        func faults(_ fault: String, _ check: Check, _ verdict: Verdict, _ text: String) throws {
            var options = try Self.options("conformance-subject", [check])
            options.detail = fault
            try Self.expect(options, check, verdict, text)
        }

        @Test(
            arguments: [
                ("first-of-read", .tasks, .fail, "1 of 3 tasks"),
                ("whole-read", .tasks, .fail, "0 of 1 tasks"),
                ("never-flushes", .flush, .fail, "only when the agent ended"),
                ("late", .flush, .warn, "late"),
                ("unknown-fields", .garbage, .fail, "unknown fields"),
                ("crashes", .garbage, .fail, "SIGABRT"),
                ("allocates", .garbage, .fail, "MiB of memory"),
            ] as [(String, Check, Verdict, String)]
        )
        func faultsThatTasksShow(_ fault: String, _ check: Check, _ verdict: Verdict, _ text: String) throws {
            var options = try Self.options("conformance-subject", [check])
            options.detail = fault
            options.tasks = [TaskRequest(dataType: 7301, data: "x")]
            try Self.expect(options, check, verdict, text)
        }

        private static func expect(
            _ options: ConformanceOptions,
            _ check: Check,
            _ verdict: Verdict,
            _ text: String
        ) throws {
            let report = try ConformanceProgram.check(options)
            let result = try #require(report.results.first)
            #expect(result.check == check)
            #expect(result.verdict == verdict, "\(report.text)")
            #expect(result.findings.contains { $0.verdict == verdict && $0.text.contains(text) }, "\(report.text)")
            #expect(report.exitCode == (verdict == .fail ? 1 : 0))
        }

        @Test
        func aGoodPluginConforms() throws {
            var options = try Self.options("conformance-subject", Check.allCases)
            options.tasks = [TaskRequest(dataType: 7301, data: "x")]
            let report = try ConformanceProgram.check(options)
            #expect(report.results.allSatisfy { $0.verdict <= .pass }, "\(report.text)")
        }

        /// Its time for an answer depends on how many processes there are, so only failures count.
        @Test
        func theProcessCollectorConforms() throws {
            var options = try Self.options("process-collector", Check.allCases)
            options.tasks = [TaskRequest(dataType: 5050, data: "{}")]
            options.timeout = 10
            let report = try ConformanceProgram.check(options)
            #expect(report.exitCode == 0, "\(report.text)")
        }

        @Test
        func whatCannotBeExecutedFailsToStart() throws {
            let path = FileManager.default.temporaryDirectory.appending(path: "not-a-program-\(UUID().uuidString)").path
            defer { try? FileManager.default.removeItem(atPath: path) }
            try Data("neither a program nor a script\n".utf8).write(to: URL(filePath: path))
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
            var options = ConformanceOptions()
            options.plugin = path
            let report = try ConformanceProgram.check(options)
            #expect(
                report.results.map(\.verdict) == [.fail]
                    + [Verdict](repeating: .skipped, count: Check.allCases.count - 1)
            )
        }
    }
}
