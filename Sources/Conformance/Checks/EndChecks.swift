// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

extension Ending {
    /// Upon the end of file of descriptor 3.
    public var stopFindings: [Finding] {
        let advice =
            "Wait for tasks also while working: when read(2) on descriptor 3 gives 0, flush descriptor 4 and exit."
            + " The agent kills what is still there after 10 s."
        guard let status else {
            let spinning = isSpinning ? ", using the processor all the time" : ""
            return [.fail("it still runs \(span(seconds)) after the end of file of descriptor 3\(spinning)", advice)]
        }
        var findings: [Finding] = []
        let text =
            "it ends \(span(seconds)) after the end of file: \(described(status)),"
            + " \(counted(recordsAfter, "record", "records")) after it"
        switch status {
        case .exited(code: 0): findings.append(.note(text))
        case .exited:
            findings.append(.warn(text, "The end of the agent is no failure: exit with 0."))
        case .signalled(let signal) where Self.isCrash(signal):
            findings.append(.fail(text, "A crash at the end loses records: run it under a debugger."))
        case .signalled:
            findings.append(.warn(text, "End by exit(3) once descriptor 4 is flushed."))
        }
        if tornBytes > 0 {
            findings.append(
                .fail(
                    "its last frame is torn: \(tornBytes) bytes of it came",
                    "Write until write(2) has taken the whole frame, and only then exit."
                )
            )
        }
        return findings + commonFindings
    }

    /// Upon SIGTERM.
    public var terminateFindings: [Finding] {
        guard let status else {
            return [
                .fail(
                    "it still runs \(span(seconds)) after SIGTERM",
                    "End upon SIGTERM: systemctl stop sends it to all plugins, and kills them later."
                )
            ]
        }
        let records = counted(recordsAfter, "record", "records")
        var findings: [Finding] = []
        switch status {
        case .signalled(SIGTERM):
            findings.append(
                .note(
                    "it dies at once (\(span(seconds)), \(records) after it): legal, but records in its buffer are lost"
                )
            )
        case .signalled(let signal) where Self.isCrash(signal):
            findings.append(
                .fail("it crashes: \(described(status))", "Do in the handler only what signal-safety(7) allows.")
            )
        default:
            findings.append(.note("it ends in order after \(span(seconds)): \(described(status)), \(records) after it"))
        }
        if tornBytes > 0 {
            findings.append(
                .warn(
                    "its last frame is torn: \(tornBytes) bytes of it came",
                    "Catch SIGTERM and finish the frame; the agent leaves out what is torn."
                )
            )
        }
        return findings + commonFindings
    }

    /// Upon both pipes being closed at once.
    public var agentEndFindings: [Finding] {
        let advice = "End at the end of file of descriptor 3 and at EPIPE from descriptor 4."
        guard let status else {
            let spinning = isSpinning ? " and turns in a loop (\(span(processorSeconds)) of processor time)" : ""
            return [
                .fail(
                    "it still runs \(span(seconds)) after the agent's sudden end\(spinning)",
                    isSpinning ? "read(2) gives 0 at once from now on: leave the loop. \(advice)" : advice
                )
            ]
        }
        let text = "it ends \(span(seconds)) after both pipes are gone: \(described(status))"
        var findings: [Finding] = []
        switch status {
        case .signalled(SIGPIPE):
            findings.append(.warn(text, "Ignore SIGPIPE, or it cannot clear up; write(2) then fails with EPIPE."))
        case .signalled(let signal) where Self.isCrash(signal):
            findings.append(.fail(text, "A failing write must not crash it."))
        default: findings.append(.note(text))
        }
        if isSpinning {
            findings.append(
                .warn(
                    "it used \(span(processorSeconds)) of processor time for that",
                    "read(2) gives 0 at once from now on: leave the loop."
                )
            )
        }
        return findings + commonFindings
    }
}

extension ConformanceRun {
    func checkStop() throws(ConformanceError) -> CheckResult {
        try end(.stop, { $0.closeTasks() }, \.stopFindings)
    }

    func checkTerminate() throws(ConformanceError) -> CheckResult {
        try end(.sigterm, { $0.signal(SIGTERM) }, \.terminateFindings)
    }

    func checkAgentEnd() throws(ConformanceError) -> CheckResult {
        let close: (PluginProcess) -> Void = {
            $0.closeTasks()
            $0.closeRecords()
        }
        return try end(.agentEnd, close, \.agentEndFindings)
    }

    private func end(
        _ check: Check,
        _ event: (PluginProcess) -> Void,
        _ findings: (Ending) -> [Finding]
    ) throws(ConformanceError) -> CheckResult {
        try withPlugin { (process) throws(ConformanceError) in
            if let finding = try settle(process) { return CheckResult(check, [finding]) }
            let records = process.recordCount
            let start = MonotonicTime.now()
            event(process)
            let ending = try awaitEnd(process, since: start, records: records)
            return CheckResult(check, findings(ending), ending.measures)
        }
    }
}
