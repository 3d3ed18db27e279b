// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// What `elkeidctl doctor --json` has found.
struct DoctorReport: Decodable {
    struct Finding: Decodable {
        var subject: String
        var step: String
        var verdict: String
        var text: String
        var remedy: String?
        var cause: String?

        /// Where and what: "server: refused".
        var name: String {
            let place = subject.hasPrefix("service discovery") ? "discovery" : subject.prefix { $0 != " " }
            return "\(place): \(cause ?? "?")"
        }
    }

    /// What the host of the test is like, and no concern of it.
    private static let ofTheHost: Set = ["security", "time"]

    var findings: [Finding]
    var verdict: String

    func all(_ verdict: String) -> [Finding] {
        findings.filter { $0.verdict == verdict && !Self.ofTheHost.contains($0.subject) }
    }
    /// Names of what is wrong.
    var bad: Set<String> { Set(all("bad").map(\.name)) }
    var warnings: Set<String> { Set(all("warning").map(\.name)) }

    /// What a step says of a subject that begins so.
    func finding(_ subject: String, _ step: String) -> Finding? {
        findings.first { $0.subject.hasPrefix(subject) && $0.step == step }
    }
}

extension Elkeidctl {
    struct Diagnosis: CustomStringConvertible {
        let report: DoctorReport
        let exit: ChildProcess.Exit
        var description: String {
            "\(exit)\n"
                + report.findings.map { "\($0.verdict) \($0.name) \($0.step): \($0.text)" }.joined(separator: "\n")
        }

        /// Exactly this is wrong, the exit code says so, and each finding has a remedy.
        func expect(bad causes: Set<String>, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(report.bad == causes, "\(self)", sourceLocation: sourceLocation)
            #expect(exit == .code(1), "\(self)", sourceLocation: sourceLocation)
            #expect(report.verdict == "bad", sourceLocation: sourceLocation)
            for finding in report.all("bad") + report.all("warning") {
                #expect(finding.remedy?.isEmpty == false, "\(finding.name)", sourceLocation: sourceLocation)
            }
        }
    }

    func doctor(_ options: String..., launcher: [String] = []) throws -> Diagnosis {
        let answer = try run(["doctor", "--json", "--timeout", "2"] + options, launcher: launcher)
        guard let report = try? JSONDecoder().decode(DoctorReport.self, from: Data(answer.output.utf8)) else {
            throw Failure("doctor printed no report: \(answer)")
        }
        return Diagnosis(report: report, exit: answer.exit)
    }
}
