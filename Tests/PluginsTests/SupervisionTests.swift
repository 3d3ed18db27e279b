// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Plugins
import Reactor
import Testing

private func moment(_ seconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: (1000 + seconds) * 1_000_000_000) }

private enum Input { case start, started, launchFailed, stop, condemn, woke, exited }

/// A plugin's supervision on a clock that the tests make up: calls, and the actions that each must give.
private struct Trial {
    var supervision: Supervision

    init(_ change: (inout Supervision.Policy) -> Void = { _ in }) {
        var policy = Supervision.Policy()
        change(&policy)
        supervision = Supervision(policy: policy)
    }

    /// It runs since moment 0.
    static func running(_ change: (inout Supervision.Policy) -> Void = { _ in }) -> Trial {
        var trial = Trial(change)
        trial.step(0, .start, [.launch])
        trial.step(0, .started, [.noWake])
        return trial
    }

    mutating func step(
        _ seconds: UInt64,
        _ input: Input,
        _ expected: [Supervision.Action],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let now = moment(seconds)
        let actions: [Supervision.Action]
        switch input {
        case .start: actions = supervision.start()
        case .started: actions = supervision.started(at: now)
        case .launchFailed: actions = supervision.launchFailed(at: now)
        case .stop: actions = supervision.stop(at: now)
        case .condemn: actions = supervision.condemn(at: now)
        case .woke: actions = supervision.woke(at: now)
        case .exited: actions = supervision.exited(at: now)
        }
        #expect(actions == expected, "upon \(input) at \(seconds)", sourceLocation: sourceLocation)
    }
}

@Suite("Supervision: starting again")
struct SupervisionRestartTests {
    /// Seconds that it lives each time: less than what counts as health.
    @Test(arguments: [0, 5, 59] as [UInt64])
    func waitsLongerAfterEachCrash(life: UInt64) {
        var trial = Trial.running()
        #expect(trial.supervision.state == .running(since: moment(0)))
        var now: UInt64 = 0
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] as [UInt64] {
            now += life
            trial.step(now, .exited, [.wake(at: moment(now + pause))])
            #expect(trial.supervision.state == .waiting)
            now += pause
            trial.step(now, .woke, [.launch])
            trial.step(now, .started, [.noWake])
            #expect(trial.supervision.state == .running(since: moment(now)))
        }
        #expect(trial.supervision.restarts == 9)
        #expect(trial.supervision.isWanted)
    }

    @Test func beginsAnewAfterHealth() {
        var trial = Trial.running()
        trial.step(1, .exited, [.wake(at: moment(2))])
        trial.step(2, .woke, [.launch])
        trial.step(2, .started, [.noWake])
        trial.step(3, .exited, [.wake(at: moment(5))])
        trial.step(5, .woke, [.launch])
        trial.step(5, .started, [.noWake])
        // A minute of health.
        trial.step(65, .exited, [.wake(at: moment(66))])
        trial.step(66, .woke, [.launch])
        trial.step(66, .started, [.noWake])
        trial.step(67, .exited, [.wake(at: moment(69))])
        #expect(trial.supervision.restarts == 3)
    }

    @Test func launchesAgainWhatCouldNotBeLaunched() {
        var trial = Trial()
        trial.step(0, .start, [.launch])
        var now: UInt64 = 0
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] as [UInt64] {
            trial.step(now, .launchFailed, [.wake(at: moment(now + pause))])
            #expect(trial.supervision.state == .waiting)
            now += pause
            trial.step(now, .woke, [.launch])
        }
        // A short life does not make it healthy.
        trial.step(now, .started, [.noWake])
        trial.step(now + 1, .exited, [.wake(at: moment(now + 61))])
    }

    @Test func takesItsPausesFromThePolicy() {
        var trial = Trial.running { policy in
            policy.restartMinimum = .seconds(5)
            policy.restartMaximum = .seconds(12)
            policy.healthy = .seconds(3)
        }
        var now: UInt64 = 0
        for pause in [5, 10, 12, 12] as [UInt64] {
            now += 2
            trial.step(now, .exited, [.wake(at: moment(now + pause))])
            now += pause
            trial.step(now, .woke, [.launch])
            trial.step(now, .started, [.noWake])
        }
        trial.step(now + 3, .exited, [.wake(at: moment(now + 8))])
    }

    @Test func startsOnlyWhatIsStopped() {
        var trial = Trial()
        trial.step(0, .woke, [])
        #expect(!trial.supervision.isWanted)
        trial.step(0, .start, [.launch])
        trial.step(0, .started, [.noWake])
        trial.step(1, .start, [])
        trial.step(2, .woke, [])
        trial.step(3, .exited, [.wake(at: moment(4))])
        trial.step(3, .start, [])
        #expect(trial.supervision.state == .waiting)
        #expect(trial.supervision.restarts == 0)
    }
}

@Suite("Supervision: stopping")
struct SupervisionStopTests {
    @Test func letsItEndByItself() {
        var trial = Trial.running()
        trial.step(100, .stop, [.closeTaskPipe, .wake(at: moment(110))])
        trial.step(101, .exited, [.noWake, .ended])
        #expect(trial.supervision.state == .stopped)
        #expect(!trial.supervision.isWanted)
        trial.step(110, .woke, [])
    }

    @Test func endsOneThatIgnoresEverySignal() {
        var trial = Trial.running()
        trial.step(100, .stop, [.closeTaskPipe, .wake(at: moment(110))])
        let rest: [StopStep] = [.signal(SIGTERM), .wait(.seconds(4)), .signal(SIGKILL)]
        #expect(trial.supervision.state == .ending(rest[...]))
        trial.step(110, .woke, [.signal(SIGTERM), .wake(at: moment(114))])
        trial.step(114, .woke, [.signal(SIGKILL), .noWake])
        #expect(trial.supervision.state == .ending([]))
        // Nothing is left to be done but to wait, however long.
        trial.step(200, .woke, [.noWake])
        trial.step(201, .exited, [.noWake, .ended])
        #expect(trial.supervision.state == .stopped)
        #expect(trial.supervision.restarts == 0)
    }

    @Test func countsFromTheMomentThatItWasTold() {
        var trial = Trial.running()
        trial.step(100, .stop, [.closeTaskPipe, .wake(at: moment(110))])
        trial.step(130, .woke, [.signal(SIGTERM), .wake(at: moment(134))])
    }

    @Test func stopsWhileItWaits() {
        var trial = Trial.running()
        trial.step(1, .exited, [.wake(at: moment(2))])
        trial.step(1, .stop, [.noWake, .ended])
        #expect(trial.supervision.state == .stopped)
        trial.step(2, .woke, [])

        var unlaunched = Trial()
        unlaunched.step(0, .start, [.launch])
        unlaunched.step(0, .launchFailed, [.wake(at: moment(1))])
        unlaunched.step(0, .stop, [.noWake, .ended])
        unlaunched.step(1, .woke, [])
    }

    @Test func stopsOnce() {
        var trial = Trial.running()
        trial.step(10, .stop, [.closeTaskPipe, .wake(at: moment(20))])
        trial.step(15, .stop, [])
        trial.step(20, .woke, [.signal(SIGTERM), .wake(at: moment(24))])
        trial.step(21, .stop, [])
        trial.step(22, .exited, [.noWake, .ended])
        trial.step(23, .stop, [.ended])
    }

    @Test func startsAgainWhatWasEnding() {
        var trial = Trial.running()
        trial.step(10, .stop, [.closeTaskPipe, .wake(at: moment(20))])
        trial.step(11, .start, [])
        #expect(trial.supervision.isWanted)
        trial.step(12, .exited, [.wake(at: moment(13))])
        trial.step(13, .woke, [.launch])
        trial.step(13, .started, [.noWake])
        // And was not wanted after all.
        trial.step(20, .stop, [.closeTaskPipe, .wake(at: moment(30))])
        trial.step(21, .start, [])
        trial.step(22, .stop, [])
        trial.step(23, .exited, [.noWake, .ended])
        // Afterwards it is an ordinary start.
        trial.step(30, .start, [.launch])
    }

    // MARK: Condemned

    @Test func endsAndStartsAgainWhatIsCondemned() {
        var trial = Trial.running()
        trial.step(50, .condemn, [.closeTaskPipe, .signal(SIGTERM), .wake(at: moment(54))])
        #expect(trial.supervision.state == .ending([.signal(SIGKILL)]))
        trial.step(51, .condemn, [])
        trial.step(54, .woke, [.signal(SIGKILL), .noWake])
        trial.step(55, .exited, [.wake(at: moment(56))])
        trial.step(56, .woke, [.launch])
        #expect(trial.supervision.restarts == 1)
    }

    @Test func stopsWhatIsCondemned() {
        var trial = Trial.running()
        trial.step(50, .condemn, [.closeTaskPipe, .signal(SIGTERM), .wake(at: moment(54))])
        trial.step(51, .stop, [])
        trial.step(52, .exited, [.noWake, .ended])
        #expect(trial.supervision.state == .stopped)
    }

    @Test func condemnsOnlyWhatRuns() {
        var trial = Trial()
        trial.step(0, .condemn, [])
        trial.step(0, .start, [.launch])
        trial.step(0, .started, [.noWake])
        trial.step(1, .exited, [.wake(at: moment(2))])
        trial.step(1, .condemn, [])
        #expect(trial.supervision.state == .waiting)
        trial.step(2, .woke, [.launch])
        trial.step(2, .started, [.noWake])
        // Being stopped in order, it is not hurried.
        trial.step(3, .stop, [.closeTaskPipe, .wake(at: moment(13))])
        trial.step(4, .condemn, [])
        trial.step(13, .woke, [.signal(SIGTERM), .wake(at: moment(17))])
    }

    // MARK: Steps as data

    /// Steps, and what is done at moment 100 and whenever the plugin still runs at a later one.
    static let ways: [(steps: [StopStep], actions: [(at: UInt64, expected: [Supervision.Action])])] = [
        ([], [(100, [.noWake]), (101, [.noWake])]),
        ([.signal(SIGKILL)], [(100, [.signal(SIGKILL), .noWake]), (101, [.noWake])]),
        ([.closeTasks, .signal(SIGINT)], [(100, [.closeTaskPipe, .signal(SIGINT), .noWake]), (101, [.noWake])]),
        ([.wait(.seconds(5))], [(100, [.wake(at: moment(105))]), (105, [.noWake])]),
        (
            [.wait(.seconds(5)), .wait(.seconds(2)), .closeTasks],
            [(100, [.wake(at: moment(105))]), (105, [.wake(at: moment(107))]), (107, [.closeTaskPipe, .noWake])]
        ),
        (
            [.signal(SIGINT), .wait(.seconds(1)), .signal(SIGTERM), .closeTasks, .wait(.seconds(2)), .signal(SIGKILL)],
            [
                (100, [.signal(SIGINT), .wake(at: moment(101))]),
                (101, [.signal(SIGTERM), .closeTaskPipe, .wake(at: moment(103))]),
                (103, [.signal(SIGKILL), .noWake]),
            ]
        ),
    ]

    @Test(arguments: ways.indices, [false, true])
    func doesTheStepsThatItIsGiven(index: Int, isCondemned: Bool) {
        let (steps, actions) = Self.ways[index]
        var trial = Trial.running { policy in
            policy.stop = isCondemned ? [] : steps
            policy.condemn = isCondemned ? steps : []
        }
        for (time, expected) in actions {
            let beginning: Input = isCondemned ? .condemn : .stop
            trial.step(time, time > 100 ? .woke : beginning, expected)
        }
        if isCondemned {
            trial.step(200, .exited, [.wake(at: moment(201))])
        } else {
            trial.step(200, .exited, [.noWake, .ended])
        }
    }

    @Test func hasTwoOrdinaryWays() {
        #expect(
            StopStep.orderly(drain: .seconds(1), term: .seconds(2)) == [
                .closeTasks, .wait(.seconds(1)), .signal(SIGTERM), .wait(.seconds(2)), .signal(SIGKILL),
            ]
        )
        #expect(
            StopStep.abrupt(term: .seconds(2)) == [
                .closeTasks, .signal(SIGTERM), .wait(.seconds(2)), .signal(SIGKILL),
            ]
        )
    }
}
