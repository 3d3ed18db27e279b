// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// What goes to descriptor 5.
public struct HighPriorityTrial: Equatable, Sendable {
    /// With descriptor 5 offered.
    public var status: ExitStatus?
    public var records = 0
    public var malformed = 0
    /// Of the last frame, when it is not complete at the end.
    public var tornBytes = 0
    /// Without.
    public var statusUnoffered: ExitStatus?
    public var bytesUnoffered = 0

    public init() {}

    public var findings: [Finding] {
        var findings: [Finding] = []
        if let status {
            findings.append(
                .fail(
                    "it ends when descriptor 5 is offered: \(described(status))",
                    "With ELKEID_PLUGIN_HIGH_PRIORITY_PIPE set, 5 is a pipe to write to; it may be left alone."
                )
            )
        } else {
            let use = records == 0 ? "left alone" : "used for \(counted(records, "record", "records"))"
            findings.append(.note("descriptor 5 is \(use) when it is offered"))
        }
        if malformed > 0 || tornBytes > 0 {
            let text = malformed > 0 ? "what is on descriptor 5 is no record" : "its last frame on descriptor 5 is torn"
            findings.append(.fail(text, "Write whole frames to descriptor 5, as to descriptor 4."))
        }
        if let statusUnoffered {
            findings.append(
                .fail(
                    "it ends when descriptor 5 is not offered: \(described(statusUnoffered))",
                    "Without the variable write everything to descriptor 4."
                )
            )
        }
        if bytesUnoffered > 0 {
            findings.append(
                .fail(
                    "\(bytesUnoffered) bytes went to descriptor 5, which was not offered",
                    "Use it only when ELKEID_PLUGIN_HIGH_PRIORITY_PIPE is set and not empty: else it may be any file."
                )
            )
        }
        return findings
    }
}

extension ConformanceRun {
    func checkHighPriority() throws(ConformanceError) -> CheckResult {
        var trial = HighPriorityTrial()
        var finding: Finding?
        for isOffered in [true, false] where finding == nil {
            var wishes = PluginProcess.Wishes()
            wishes.highPriority = isOffered ? .offered : .pipeOnly
            try withPlugin(wishes) { (process) throws(ConformanceError) in
                try process.pump(Self.settling)
                for request in requests where !process.isOver {
                    _ = try sent([request], process) { process.send(TaskFrame.plain($0[0])) }
                }
                try process.pump(0.3)
                guard let urgent = process.urgent else { return }
                if !isOffered {
                    trial.statusUnoffered = process.status
                    trial.bytesUnoffered = urgent.bytes
                    return
                }
                trial.status = process.status
                process.closeTasks()
                try process.pump(options.timeout) { process.isOver }
                trial.records = urgent.tally.records
                trial.malformed = urgent.tally.malformed + (urgent.tally.lostAt == nil ? 0 : 1)
                trial.tornBytes = process.isOver ? urgent.stream.pending : 0
            }
            // With the same end either way, descriptor 5 has nothing to do with it.
            if let status = trial.status, try observation().status != nil {
                finding = Self.endedByItself(status, Self.settling)
            }
        }
        let measures = [Measure("records", trial.records), Measure("bytes_unoffered", trial.bytesUnoffered)]
        return CheckResult(.highPriority, finding.map { [$0] } ?? trial.findings, measures)
    }
}
