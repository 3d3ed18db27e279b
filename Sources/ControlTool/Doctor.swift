// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Host
import JSON
import Syscalls

extension Tool {
    func doctor(_ invocation: Invocation) throws(ToolError) -> Int32 {
        let seconds = try invocation.number("--timeout", in: 1...60) ?? 5
        let isJSON = invocation.has("--json")
        var subject = ""
        let findings = examine(offline: invocation.has("--offline"), seconds: seconds) { finding in
            guard !isJSON else { return }
            if finding.subject != subject {
                subject = finding.subject
                output.line(style(visible(subject), .strong))
            }
            for line in finding.lines(style) { output.line(line) }
        }
        if isJSON {
            let all: JSONValue = .object([
                "findings": .array(findings.map(\.json)), "verdict": .string(Self.verdict(findings).rawValue),
            ])
            output.line(String(decoding: all.encoded, as: UTF8.self))
        } else {
            printSummary(findings)
        }
        switch Self.verdict(findings) {
        case .bad: return 1
        case .warning: return 2
        case .ok, .note: return 0
        }
    }

    /// The agent's, in which proxies may be that this shell does not know of.
    private func serviceEnvironment(_ status: JSONValue?) -> [String: String] {
        if let pid = status?["pid"]?.integer, let text = try? FileDescriptor.readFile("/proc/\(pid)/environ") {
            return environmentVariables(text.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
        }
        let text = (try? FileDescriptor.readFile(source.specifiedEnvironment)) ?? []
        let specified = SpecifiedEnvironment.parse(text: text, file: source.specifiedEnvironment)
        return source.environment.merging(specified.values.mapValues(\.text)) { $1 }
    }

    static func verdict(_ findings: [Finding]) -> Finding.Verdict {
        let verdicts = findings.map(\.verdict)
        return verdicts.contains(.bad) ? .bad : verdicts.contains(.warning) ? .warning : .ok
    }

    private func printSummary(_ findings: [Finding]) {
        output.line("")
        let bad = findings.filter { $0.verdict == .bad }
        let warnings = findings.filter { $0.verdict == .warning }
        guard let worst = bad.first ?? warnings.first else {
            return output.line(style("nothing is wrong", .good))
        }
        let counts = "\(bad.count) wrong, \(warnings.count) to be looked at; "
        output.line(
            style(
                counts + "first: \(visible(worst.subject)): \(worst.step): \(visible(worst.text))",
                bad.isEmpty ? .warning : .bad
            )
        )
    }

    /// All steps, in the order in which each needs those before it; `report` hears of each finding as it is made.
    func examine(offline: Bool, seconds: Int, report: (Finding) -> Void) -> [Finding] {
        var all: [Finding] = []
        func add(_ findings: [Finding]) {
            all += findings
            for finding in findings { report(finding) }
        }
        let host = HostChecks(tool: self)
        add(host.configuration())
        add(host.files())
        add(host.certificates())
        add(host.disks())
        add(host.time())
        add(host.security())
        let agent = AgentChecks(tool: self, seconds: seconds)
        add(agent.service())
        add(agent.state())
        guard !offline else { return all }
        let network = NetworkChecks(
            configuration: configuration,
            identity: host.identity.id,
            environment: serviceEnvironment(agent.status),
            agent: agent.status,
            isIDInUse: agent.status != nil || agent.isHeld,
            seconds: seconds
        )
        add(network.findings())
        return all
    }
}
