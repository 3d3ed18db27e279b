// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
public import Reactor
import Syscalls

/// What a plugin does while nobody reads, and afterwards.
public struct BackPressureTrial: Equatable, Sendable {
    /// Bytes that the pipe takes, and that it held at the end of the stall.
    public var capacity = 0
    public var queued = 0
    /// Seconds in which nothing was read.
    public var seconds = 0.0
    /// Resident bytes before, and at most while it lasted.
    public var residentBefore = 0
    public var residentMost = 0
    /// Tasks sent to make it write.
    public var tasks = 0
    public var answers = 0
    /// Nil: it ran until it was told to end.
    public var status: ExitStatus?
    /// Malformed records behind the stall, or a stream that was lost.
    public var malformed = 0
    /// Records that came when reading went on.
    public var recordsAfter = 0
    /// How it ended when it was told to.
    public var ending: Ending?

    public init() {}

    /// Growth in bytes that is more than any buffer should be.
    static let growthLimit = 16 << 20

    var isFilled: Bool { capacity > 0 && queued * 2 > capacity }
    var growth: Int { max(0, residentMost - residentBefore) }

    public var findings: [Finding] {
        if let status {
            return [
                .fail(
                    "it ended while nothing was read: \(described(status))",
                    "Wait until descriptor 4 takes bytes again, or drop records and count them."
                )
            ]
        }
        var findings: [Finding] = []
        if !isFilled {
            findings.append(
                .skipped(
                    "it wrote too little to fill a pipe (\(queued) of \(capacity) bytes in \(span(seconds)))",
                    "Give a longer --stall, or --task with one that it answers at once."
                )
            )
        } else {
            let asked = tasks > 0 ? ", asked by \(counted(tasks, "task", "tasks"))" : ""
            findings.append(
                .note(
                    "\(queued) of \(capacity) bytes waited in the pipe for \(span(seconds))\(asked);"
                        + " then \(counted(recordsAfter, "record", "records")) came;"
                        + " memory grew by \(mebibytes(growth))"
                )
            )
        }
        if growth > Self.growthLimit {
            findings.append(
                .warn(
                    "its memory grew by \(mebibytes(growth)) while nothing was read",
                    "Bound the buffer: let the sender wait, or drop the newest records and count them."
                )
            )
        }
        if malformed > 0 {
            findings.append(
                .fail(
                    "the stream is broken behind the stall: what came is no record any more",
                    "write(2) may take a part: go on with the rest, before anything else is written."
                )
            )
        }
        if let ending {
            if ending.tornBytes > 0 {
                findings.append(
                    .fail(
                        "its last frame is torn: \(ending.tornBytes) bytes of it came",
                        "Write until write(2) has taken the whole frame, and only then exit."
                    )
                )
            }
            if case .signalled(let signal) = ending.status, Ending.isCrash(signal) {
                findings.append(
                    .fail("it crashes behind the stall: \(described(.signalled(signal)))", "Run it under a debugger.")
                )
            }
            if ending.status == nil {
                findings.append(
                    .fail(
                        "it did not end within \(span(ending.seconds)) of the end of file behind the stall",
                        "Read descriptor 3 also while descriptor 4 takes nothing."
                    )
                )
            }
        }
        return findings
    }

    var measures: [Measure] {
        [
            Measure("seconds", seconds), Measure("pipe_bytes", capacity), Measure("queued_bytes", queued),
            Measure("resident_growth_bytes", growth), Measure("records_after", recordsAfter),
            Measure("tasks", tasks), Measure("answers", answers),
        ]
    }
}

extension ConformanceRun {
    private static let smallPipe = 4096
    private static let step = 0.02
    private static let mostTasks = 100
    /// Seconds without a byte more in the pipe, after which it takes no more: above a plugin's time for flushing.
    private static let stuck = 0.3
    /// Seconds without a byte, after which no answer is waited for.
    private static let quiet = 0.5

    func checkBackPressure() throws(ConformanceError) -> CheckResult {
        var wishes = PluginProcess.Wishes()
        wishes.pipeSize = Self.smallPipe
        return try withPlugin(wishes) { (process) throws(ConformanceError) in
            if let finding = try settle(process) { return CheckResult(.backPressure, [finding]) }
            var trial = BackPressureTrial()
            let before = process.records.tally
            trial.capacity = process.records.descriptor?.pipeCapacity ?? 0
            trial.residentBefore = process.figures?.resident ?? 0
            process.records.isPaused = true
            let start = MonotonicTime.now()
            var grownAt = start
            var tokens: [String] = []
            while !process.isOver, (MonotonicTime.now() - start).seconds < options.stall {
                try process.pump(Self.step)
                trial.residentMost = max(trial.residentMost, process.figures?.resident ?? 0)
                if process.records.queued != trial.queued { grownAt = MonotonicTime.now() }
                trial.queued = process.records.queued
                // It is asked until the pipe takes nothing more.
                let isStuck = trial.isFilled && (MonotonicTime.now() - grownAt).seconds > Self.stuck
                if knowsTasks || answersUnknown == true, !isStuck, tokens.count < Self.mostTasks {
                    let task = makeTask(requests[0])
                    tokens.append(task.token)
                    process.send(TaskFrame.plain(task))
                }
            }
            trial.seconds = (MonotonicTime.now() - start).seconds
            trial.tasks = tokens.count
            trial.status = process.status
            process.records.isPaused = false
            try readOn(process, until: tokens)
            if trial.status == nil {
                let closedAt = MonotonicTime.now()
                process.closeTasks()
                trial.ending = try awaitEnd(process, since: closedAt, records: process.recordCount)
            }
            let after = process.records.tally
            trial.answers = tokens.count { process.answer($0) != nil }
            trial.recordsAfter = after.records - before.records
            trial.malformed = after.malformed - before.malformed
            if after.lostAt != nil && before.lostAt == nil { trial.malformed += 1 }
            return CheckResult(.backPressure, trial.findings, trial.measures)
        }
    }

    /// Reads until all answers are there, or nothing comes any more.
    private func readOn(_ process: PluginProcess, until tokens: [String]) throws(ConformanceError) {
        let start = MonotonicTime.now()
        var lastBytes = process.records.bytes
        var quietSince = start
        while !process.isOver, (MonotonicTime.now() - start).seconds < options.timeout {
            let isAnswered = !tokens.isEmpty && tokens.allSatisfy { process.answer($0) != nil }
            guard !isAnswered, (MonotonicTime.now() - quietSince).seconds < Self.quiet else { return }
            // A plugin that writes all the time has shown within a second that its stream is whole.
            if tokens.isEmpty && (MonotonicTime.now() - start).seconds > 1 { return }
            try process.pump(0.05)
            if process.records.bytes != lastBytes { quietSince = MonotonicTime.now() }
            lastBytes = process.records.bytes
        }
    }
}
