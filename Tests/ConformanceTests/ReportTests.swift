// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Conformance
import JSON
import Testing

@Suite
struct ReportTests {
    private static func report(_ verdicts: [Verdict]) -> Report {
        let results = zip(Check.allCases, verdicts).map { check, verdict in
            var result = CheckResult(
                check,
                [
                    Finding(.pass, "a note"),
                    Finding(verdict, String(repeating: "word ", count: 40), advice: String(repeating: "x", count: 200)),
                ],
                [Measure("seconds", 0.5), Measure("records", 3)]
            )
            result.lastLines = ["last \u{1b}[31m line"]
            return result
        }
        return Report(name: "p", program: "/p", results: results, seconds: 1.25)
    }

    @Test(
        arguments: [
            ([.pass], .pass, 0), ([.pass, .skipped], .skipped, 0), ([.skipped, .warn], .warn, 0),
            ([.warn, .fail, .pass], .fail, 1), ([], .pass, 0),
        ] as [([Verdict], Verdict, Int32)]
    )
    func theWorstCounts(_ verdicts: [Verdict], _ verdict: Verdict, _ exitCode: Int32) {
        let report = Self.report(verdicts)
        #expect(report.verdict == verdict)
        #expect(report.exitCode == exitCode)
    }

    @Test
    func linesFitATerminalAndCannotCommandIt() {
        let text = Self.report([.pass, .skipped, .warn, .fail]).text
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
        #expect(!text.contains("\u{1b}"))
        #expect(text.contains("does not conform"))
    }

    @Test
    func json() throws {
        let report = Self.report([.warn])
        let value = try JSONValue(parsing: report.json.encoded)
        guard case .object(let members) = value, case .array(let checks)? = members["checks"],
            case .object(let check)? = checks.first
        else {
            Issue.record("not an object with checks")
            return
        }
        #expect(members["verdict"] == .string("warn"))
        #expect(check["name"] == .string("start"))
        #expect(check["measured"] == .object(["seconds": .real(0.5), "records": .integer(3)]))
    }
}

@Suite
struct ConformanceCommandLineTests {
    @Test
    func options() throws {
        var expected = ConformanceOptions()
        expected.plugin = "./p"
        expected.folder = "/f"
        expected.name = "n"
        expected.detail = "{\"a\": 1}"
        expected.tasks = [TaskRequest(dataType: 5050, data: "{} x"), TaskRequest(dataType: -1, data: "")]
        expected.checks = [.start, .backPressure]
        expected.timeout = 2
        expected.stall = 0.5
        expected.observe = 1
        expected.json = true
        let arguments = [
            "--folder", "/f", "--name=n", "--detail", "{\"a\": 1}", "--task", "5050 {} x", "--task=-1", "./p", "--only",
            "start,back-pressure,stop", "--skip=stop", "--timeout", "2", "--stall=0.5", "--observe", "1", "--json",
        ]
        #expect(try ConformanceInvocation.parse(arguments) == .run(expected))
        #expect(try ConformanceInvocation.parse(["--list"]) == .list)
        #expect(try ConformanceInvocation.parse(["p", "-h"]) == .help)
    }

    @Test(arguments: [
        [], ["p", "q"], ["p", "--task"], ["p", "--task", "x"], ["p", "--task="], ["p", "--only", "x"],
        ["p", "--skip", "x"],
        ["p", "--timeout", "0"], ["p", "--stall", "x"], ["p", "--observe", "1e9"], ["p", "--json=1"],
        ["p", "--name", "a.b"],
        ["--what", "p"], ["p", "--timeout", "nan"],
    ])
    func wrongCommandLines(_ arguments: [String]) {
        #expect(throws: ConformanceError.self) { try ConformanceInvocation.parse(arguments) }
    }

    @Test(arguments: ["/does/not/exist", "/etc", "/etc/passwd"])
    func whatIsNoPlugin(_ path: String) {
        var options = ConformanceOptions()
        options.plugin = path
        #expect(throws: ConformanceError.self) { try ConformanceProgram.check(options) }
    }
}
