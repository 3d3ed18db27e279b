// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// How a plugin takes tasks in unusual forms, and what is no task at all.
public struct GarbageTrial: Equatable, Sendable {
    /// Tasks with unknown fields and in another order.
    public var legalSent = 0
    public var legalAnswered = 0
    public var legalStatus: ExitStatus?
    /// Are answers to be expected?
    public var isAnswering = false

    /// An undecodable task, and a good one behind it.
    public var undecodableStatus: ExitStatus?
    public var isNextAnswered = false

    /// A length of 2 GiB.
    public var oversizedStatus: ExitStatus?
    public var residentGrowth = 0
    public var addressSpaceGrowth = 0
    public var oversizedShare = 0.0
    public var oversizedEnding: Ending?

    /// The end of file inside of a frame.
    public var begunEnding: Ending?

    public init() {}

    static let residentLimit = 64 << 20
    static let addressSpaceLimit = 3 << 29

    public var findings: [Finding] { legalFindings + undecodableFindings + oversizedFindings + begunFindings }

    private var legalFindings: [Finding] {
        let advice = "Pass over fields that are not known, and take the known ones in any order: protobuf allows both."
        if let legalStatus {
            return [.fail("a task with unknown fields or in another order ends it: \(described(legalStatus))", advice)]
        }
        let text = "\(legalAnswered) of \(legalSent) tasks with unknown fields or in another order answered"
        guard isAnswering else { return [.note("tasks with unknown fields and in another order do not end it")] }
        return [legalAnswered == legalSent ? .note(text) : .fail(text, advice)]
    }

    private var undecodableFindings: [Finding] {
        let advice = "Log it and read the next frame: the length says where that is."
        switch undecodableStatus {
        case .signalled(let signal) where Ending.isCrash(signal):
            return [.fail("an undecodable task crashes it: \(described(.signalled(signal)))", advice)]
        case .some(let status): return [.warn("an undecodable task ends it: \(described(status))", advice)]
        case nil:
            if !isAnswering { return [.note("an undecodable task does not end it")] }
            return [
                isNextAnswered
                    ? .note("an undecodable task is passed over, and the next one answered")
                    : .warn("behind an undecodable task the next one is not answered", advice)
            ]
        }
    }

    private var oversizedFindings: [Finding] {
        let advice = "Compare a frame's length with a limit (1 MiB) before memory is taken for it; then report and end."
        var findings: [Finding] = []
        switch oversizedStatus {
        case .signalled(let signal) where Ending.isCrash(signal):
            findings.append(.fail("a length of 2 GiB crashes it: \(described(.signalled(signal)))", advice))
        case .some(let status): findings.append(.note("a length of 2 GiB ends it: \(described(status))"))
        case nil: findings.append(.note("a length of 2 GiB does not end it"))
        }
        if residentGrowth > Self.residentLimit {
            findings.append(.fail("it takes \(mebibytes(residentGrowth)) of memory for a length of 2 GiB", advice))
        } else if addressSpaceGrowth > Self.addressSpaceLimit {
            findings.append(
                .warn("it reserves \(mebibytes(addressSpaceGrowth)) of address space for a length of 2 GiB", advice)
            )
        }
        if oversizedShare > Ending.spinning {
            findings.append(
                .fail("it turns in a loop behind a length of 2 GiB", "Stop reading once a frame is refused.")
            )
        }
        if let oversizedEnding, oversizedEnding.status == nil {
            findings.append(.fail("behind a length of 2 GiB the end of file does not end it", Self.endAdvice))
        }
        return findings
    }

    private static let endAdvice = "read(2) giving 0 is the end also inside of a frame."

    private var begunFindings: [Finding] {
        guard let begunEnding else { return [] }
        switch begunEnding.status {
        case nil:
            let spinning = begunEnding.isSpinning ? ", and turns in a loop" : ""
            return [.fail("the end of file inside of a frame does not end it\(spinning)", Self.endAdvice)]
        case .signalled(let signal) where Ending.isCrash(signal):
            return [.fail("the end of file inside of a frame crashes it: signal \(signal)", Self.endAdvice)]
        case .some(let status):
            return [
                .note(
                    "the end of file inside of a frame ends it after \(span(begunEnding.seconds)): \(described(status))"
                )
            ]
        }
    }

    var measures: [Measure] {
        [
            Measure("legal_sent", legalSent), Measure("legal_answered", legalAnswered),
            Measure("resident_growth_bytes", residentGrowth), Measure("address_space_growth_bytes", addressSpaceGrowth),
            Measure("oversized_processor_share", oversizedShare),
        ]
    }
}

extension ConformanceRun {
    private static let watching = 1.0

    func checkGarbage() throws(ConformanceError) -> CheckResult {
        var trial = GarbageTrial()
        if let finding = try tryLegalForms(&trial) { return CheckResult(.garbage, [finding]) }
        try tryUndecodable(&trial)
        try tryOversized(&trial)
        try withPlugin { (process) throws(ConformanceError) in
            guard try settle(process) == nil else { return }
            process.send(TaskFrame.begun)
            try process.pump(0.1)
            let start = MonotonicTime.now()
            process.closeTasks()
            trial.begunEnding = try awaitEnd(process, since: start, records: process.recordCount)
        }
        return CheckResult(.garbage, trial.findings, trial.measures)
    }

    private func tryLegalForms(_ trial: inout GarbageTrial) throws(ConformanceError) -> Finding? {
        var finding: Finding?
        try withPlugin { (process) throws(ConformanceError) in
            finding = try settle(process)
            guard finding == nil else { return }
            if !knowsTasks && answersUnknown == nil {
                answersUnknown = try sent([requests[0]], process) { process.send(TaskFrame.plain($0[0])) } == 1
            }
            trial.isAnswering = knowsTasks || answersUnknown == true
            for form in [TaskFrame.withUnknownFields, TaskFrame.inOtherOrder] where !process.isOver {
                trial.legalSent += 1
                trial.legalAnswered += try sent([requests[0]], process) { process.send(form($0[0])) }
            }
            try process.pump(0.1)
            trial.legalStatus = process.status
        }
        return finding
    }

    private func tryUndecodable(_ trial: inout GarbageTrial) throws(ConformanceError) {
        try withPlugin { (process) throws(ConformanceError) in
            guard try settle(process) == nil else { return }
            let answers = try sent([requests[0]], process) {
                process.send(TaskFrame.undecodable + TaskFrame.plain($0[0]))
            }
            trial.isNextAnswered = answers == 1
            try process.pump(0.1)
            trial.undecodableStatus = process.status
        }
    }

    private func tryOversized(_ trial: inout GarbageTrial) throws(ConformanceError) {
        try withPlugin { (process) throws(ConformanceError) in
            guard try settle(process) == nil, let before = process.figures else { return }
            process.send(TaskFrame.oversized)
            let start = MonotonicTime.now()
            var last = before
            while !process.isOver, (MonotonicTime.now() - start).seconds < Self.watching {
                try process.pump(0.02)
                guard let now = process.figures else { continue }
                last = now
                trial.residentGrowth = max(trial.residentGrowth, now.residentPeak - before.residentPeak)
                trial.addressSpaceGrowth = max(trial.addressSpaceGrowth, now.addressSpacePeak - before.addressSpacePeak)
            }
            trial.oversizedStatus = process.status
            if process.isOver {
                trial.residentGrowth = max(trial.residentGrowth, process.residentPeak - before.residentPeak)
            }
            let seconds = (MonotonicTime.now() - start).seconds
            guard !process.isOver else { return }
            trial.oversizedShare = max(0, last.wantedSeconds - before.wantedSeconds) / seconds
            let closedAt = MonotonicTime.now()
            process.closeTasks()
            trial.oversizedEnding = try awaitEnd(process, since: closedAt, records: process.recordCount)
        }
    }
}
