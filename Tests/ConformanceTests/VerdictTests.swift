// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Conformance
import Testing

import enum Reactor.ExitStatus

private func ending(
    _ status: ExitStatus?,
    seconds: Double = 0.1,
    cpu: Double = 0,
    torn: Int = 0,
    leftovers: Int = 0,
    held: Bool = false
) -> Ending {
    var ending = Ending(status, seconds: seconds)
    ending.processorSeconds = cpu
    ending.tornBytes = torn
    ending.leftovers = leftovers
    ending.isHeldOpen = held
    return ending
}

extension [Finding] {
    fileprivate var verdict: Verdict { map(\.verdict).max() ?? .pass }
}

/// What is concluded from what was seen.
@Suite
struct VerdictTests {
    @Test(arguments: [
        (ending(.exited(code: 0)), Verdict.pass, Verdict.pass, Verdict.pass),
        (ending(.exited(code: 2)), .warn, .pass, .pass),
        (ending(.signalled(15)), .warn, .pass, .pass),
        (ending(.signalled(13)), .warn, .pass, .warn),
        (ending(.signalled(11)), .fail, .fail, .fail),
        (ending(.signalled(6)), .fail, .fail, .fail),
        (ending(nil, seconds: 10), .fail, .fail, .fail),
        (ending(.exited(code: 0), torn: 5), .fail, .warn, .pass),
        (ending(.exited(code: 0), leftovers: 1), .warn, .warn, .warn),
        (ending(.exited(code: 0), held: true), .warn, .warn, .warn),
        (ending(.exited(code: 0), seconds: 4, cpu: 3.9), .pass, .pass, .warn),
        (ending(.exited(code: 0), seconds: 0.01, cpu: 0.01), .pass, .pass, .pass),
    ])
    func ends(_ ending: Ending, _ stop: Verdict, _ terminate: Verdict, _ agentEnd: Verdict) {
        #expect(ending.stopFindings.verdict == stop)
        #expect(ending.terminateFindings.verdict == terminate)
        #expect(ending.agentEndFindings.verdict == agentEnd)
    }

    @Test
    func aLoopIsNamed() {
        var looping = ending(nil, seconds: 10)
        looping.wantedSeconds = 9.5
        #expect(looping.agentEndFindings.contains { $0.text.contains("turns in a loop") })
        #expect(!ending(nil, seconds: 10).agentEndFindings.contains { $0.text.contains("turns in a loop") })
    }

    @Test
    func startAndIdle() {
        func expect(_ start: Verdict, _ idle: Verdict, _ change: (inout Observation) -> Void = { _ in }) {
            var seen = Observation()
            seen.seconds = 3
            seen.idleSeconds = 3
            seen.openDescriptors = [3, 4]
            change(&seen)
            #expect(seen.startFindings.verdict == start)
            #expect(seen.idleFindings.verdict == idle)
        }
        expect(.pass, .pass)
        expect(.fail, .fail) { $0.status = .exited(code: 0) }
        expect(.warn, .pass) { $0.outputBytes = 1 }
        expect(.warn, .pass) { $0.openDescriptors = [4] }
        expect(.pass, .warn) { $0.processorSeconds = 0.2 }
        expect(.pass, .warn) { $0.sleeps = 3000 }
    }

    @Test(arguments: [(100, 100, true), (100, 40, false), (30, 30, false), (1000, 90, false)])
    func batches(_ records: Int, _ reads: Int, _ isWarned: Bool) {
        var seen = Observation()
        seen.seconds = 3
        seen.records = records
        seen.reads = reads
        #expect((seen.batchFinding != nil) == isWarned)
    }

    @Test
    func flushing() {
        func expect(_ verdict: Verdict, _ delays: [Double], unanswered: Int = 0, atEnd: Int = 0, isKnown: Bool = true) {
            var trial = FlushTrial(isKnown: isKnown)
            trial.delays = delays
            trial.unanswered = unanswered
            trial.answeredAtEnd = atEnd
            #expect(trial.findings.verdict == verdict)
        }
        expect(.pass, [0.2, 0.3])
        expect(.warn, [0.2, 1.5])
        expect(.fail, [6])
        expect(.fail, [], unanswered: 1, atEnd: 1)
        expect(.fail, [], unanswered: 1, atEnd: 1, isKnown: false)
        expect(.fail, [], unanswered: 1)
        expect(.skipped, [], unanswered: 1, isKnown: false)
    }

    @Test
    func tasks() {
        func expect(_ verdict: Verdict, isKnown: Bool, answered: [Int], _ status: ExitStatus? = nil) {
            var trials = TaskTrials(isKnown: isKnown)
            let ways = [("one by one", 1), ("in one write", 3), ("byte by byte", 1)]
            trials.trials = zip(ways, answered).map { TaskTrials.Trial($0.0, sent: $0.1, answered: $1) }
            trials.status = status
            #expect(trials.findings.verdict == verdict)
            trials.unreadBytes = 10
            #expect(trials.findings.verdict == max(verdict, status == nil ? .warn : verdict))
        }
        expect(.pass, isKnown: true, answered: [1, 3, 1])
        expect(.fail, isKnown: true, answered: [1, 1, 1])
        expect(.fail, isKnown: true, answered: [0, 0, 0])
        expect(.pass, isKnown: false, answered: [0, 0, 0])
        expect(.pass, isKnown: false, answered: [1, 3, 1])
        expect(.warn, isKnown: false, answered: [1, 1, 1])
        expect(.fail, isKnown: false, answered: [0], .exited(code: 0))
        expect(.fail, isKnown: true, answered: [1], .signalled(11))
    }

    @Test
    func backPressure() {
        func expect(_ verdict: Verdict, _ change: (inout BackPressureTrial) -> Void = { _ in }) {
            var trial = BackPressureTrial()
            trial.capacity = 4096
            trial.queued = 4000
            change(&trial)
            #expect(trial.findings.verdict == verdict, "\(trial)")
        }
        expect(.pass)
        expect(.skipped) { $0.queued = 100 }
        expect(.fail) { $0.status = .exited(code: 1) }
        expect(.warn) { $0.residentMost = 40 << 20 }
        expect(.fail) { $0.malformed = 1 }
        expect(.fail) { $0.ending = ending(nil) }
        expect(.fail) { $0.ending = ending(.exited(code: 0), torn: 1) }
        expect(.fail) { $0.ending = ending(.signalled(11)) }
        expect(.pass) { $0.ending = ending(.exited(code: 1)) }
    }

    @Test
    func garbage() {
        func expect(_ verdict: Verdict, _ change: (inout GarbageTrial) -> Void = { _ in }) {
            var trial = GarbageTrial()
            trial.isAnswering = true
            trial.isNextAnswered = true
            trial.legalSent = 2
            trial.legalAnswered = 2
            change(&trial)
            #expect(trial.findings.verdict == verdict, "\(trial)")
        }
        expect(.pass)
        expect(.fail) { $0.legalAnswered = 1 }
        expect(.fail) { $0.legalStatus = .exited(code: 0) }
        expect(.warn) { $0.undecodableStatus = .exited(code: 1) }
        expect(.fail) { $0.undecodableStatus = .signalled(6) }
        expect(.warn) { $0.isNextAnswered = false }
        expect(.pass) { $0.oversizedStatus = .exited(code: 1) }
        expect(.fail) { $0.oversizedStatus = .signalled(9) }
        expect(.fail) { $0.residentGrowth = 100 << 20 }
        expect(.warn) { $0.addressSpaceGrowth = 2 << 30 }
        expect(.fail) { $0.oversizedShare = 0.9 }
        expect(.fail) { $0.oversizedEnding = ending(nil) }
        expect(.fail) { $0.begunEnding = ending(nil) }
        expect(.fail) { $0.begunEnding = ending(.signalled(11)) }
        expect(.pass) { $0.begunEnding = ending(.exited(code: 1)) }
    }

    @Test
    func highPriority() {
        func expect(_ verdict: Verdict, _ change: (inout HighPriorityTrial) -> Void = { _ in }) {
            var trial = HighPriorityTrial()
            change(&trial)
            #expect(trial.findings.verdict == verdict, "\(trial)")
        }
        expect(.pass)
        expect(.pass) { $0.records = 5 }
        expect(.fail) { $0.status = .exited(code: 1) }
        expect(.fail) { $0.malformed = 1 }
        expect(.fail) { $0.tornBytes = 1 }
        expect(.fail) { $0.bytesUnoffered = 1 }
        expect(.fail) { $0.statusUnoffered = .signalled(6) }
    }
}
