// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Reactor

/// How long records take to the pipe.
public struct FlushTrial: Equatable, Sendable {
    /// Seconds from a task's way into the pipe to its answer.
    public var delays: [Double] = []
    /// Tasks without an answer within the limit.
    public var unanswered = 0
    /// Of those, how many came once the agent had ended.
    public var answeredAtEnd = 0
    /// Does the plugin answer tasks at all, as far as is known?
    public var isKnown: Bool

    public init(isKnown: Bool) { self.isKnown = isKnown }

    /// Seconds above which an answer is late, and at most allowed: much patience for a busy host.
    public static let late = 1.0
    public var limit = 5.0

    public var findings: [Finding] {
        var findings: [Finding] = []
        if let slowest = delays.max() {
            let median = delays.sorted()[delays.count / 2]
            let text = "answers after \(span(median)), the slowest of \(delays.count) after \(span(slowest))"
            let advice = "Write buffered records at the latest 200 ms after the first of them."
            switch slowest {
            case ..<Self.late: findings.append(.note(text))
            case ..<limit: findings.append(.warn("\(text): late", advice))
            default: findings.append(.fail("\(text): too late", advice))
            }
        }
        if unanswered > 0 && answeredAtEnd > 0 {
            findings.append(
                .fail(
                    "\(counted(answeredAtEnd, "answer", "answers")) came only when the agent ended: kept, not flushed",
                    "Flush 200 ms after the first record came into the empty buffer, by a timer of its own."
                )
            )
        } else if unanswered > 0 && isKnown {
            findings.append(
                .fail(
                    "no answer within \(span(limit)), nor at the end",
                    "Answer the task with its token; if it takes longer than that, give another --task."
                )
            )
        }
        if findings.isEmpty {
            findings.append(
                .skipped(
                    "it answers no task, so it cannot be told",
                    "Give --task 'TYPE DATA' with one that it answers."
                )
            )
        }
        return findings
    }
}

extension ConformanceRun {
    private static let samples = 5

    func checkFlush() throws(ConformanceError) -> CheckResult {
        let seen = try observation()
        return try withPlugin { (process) throws(ConformanceError) in
            if let finding = try settle(process) { return CheckResult(.flush, [finding]) }
            var trial = FlushTrial(isKnown: knowsTasks)
            trial.limit = min(trial.limit, options.timeout)
            for sample in 0..<Self.samples
            where !process.isOver && trial.delays.count(where: { $0 > FlushTrial.late }) < 2 {
                let task = makeTask(requests[0])
                let sentAt = MonotonicTime.now()
                process.send(TaskFrame.plain(task))
                let limit = knowsTasks || sample > 0 ? trial.limit : Self.unknownPatience
                if try process.pump(limit, until: { process.answer(task.token) != nil }) {
                    trial.delays.append(((process.answer(task.token) ?? sentAt) - sentAt).seconds)
                    // At other places of a period of 200 ms each time.
                    try process.pump(0.07 * Double(sample + 1))
                    continue
                }
                trial.unanswered += 1
                process.closeTasks()
                try process.pump(options.timeout) { process.isOver || process.answer(task.token) != nil }
                if process.answer(task.token) != nil { trial.answeredAtEnd += 1 }
                break
            }
            var findings = trial.findings
            if let finding = seen.batchFinding { findings.append(finding) }
            var measures = [Measure("observed_records", seen.records), Measure("observed_reads", seen.reads)]
            if let slowest = trial.delays.max() { measures.append(Measure("slowest_seconds", slowest)) }
            return CheckResult(.flush, findings, measures)
        }
    }
}
