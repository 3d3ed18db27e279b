// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// Decides over the life of one plugin's process. It holds no process, no clock and no timer: events and times come
/// in, actions go out.
///
/// ```
///                 ┌──────────────exited, backoff─────────────┐
///                 ▼                                          │
/// stopped ──▶ starting ──started──▶ running ──stop──▶ ending: close ─10 s─▶ TERM ─4 s─▶ KILL
///    ▲            └─────failed, backoff──▶ waiting                      │
///    └──────────────────────────────exited──────────────────────────────┘
/// ```
public struct Supervision: Sendable {
    public struct Policy: Sendable, Equatable {
        /// How it is stopped: after the task pipe is closed, a plugin that ends by itself loses none of its records; after
        /// SIGTERM, the Rust library's handler takes 3 s.
        public var stop = StopStep.orderly(drain: .seconds(10), term: .seconds(4))
        /// How a process is ended whose records cannot be read any more.
        public var condemn = StopStep.abrupt(term: .seconds(4))
        public var restartMinimum = TimeSpan.seconds(1)
        public var restartMaximum = TimeSpan.seconds(60)
        /// A plugin that ran this long was healthy: its next crash starts the backoff anew.
        public var healthy = TimeSpan.seconds(60)
        public init() {}
    }

    public enum State: Equatable, Sendable, CustomStringConvertible {
        case stopped
        case running(since: MonotonicTime)
        /// These steps are left to be done.
        case ending(ArraySlice<StopStep>)
        /// Waits to be started again.
        case waiting

        public var description: String {
            switch self {
            case .stopped: "stopped"
            case .running: "running"
            case .ending: "stopping"
            case .waiting: "waits to be started again"
            }
        }
    }

    public enum Action: Equatable, Sendable {
        case launch
        case closeTaskPipe
        case signal(Int32)
        case wake(at: MonotonicTime)
        case noWake
        /// It has ended for good, by request.
        case ended
    }

    private let policy: Policy
    public private(set) var state = State.stopped
    /// Should it be running?
    public private(set) var isWanted = false
    private var delay: TimeSpan
    public private(set) var restarts = 0
    private var startedAt: MonotonicTime?

    public init(policy: Policy) {
        self.policy = policy
        delay = policy.restartMinimum
    }

    /// It should run.
    public mutating func start() -> [Action] {
        isWanted = true
        guard state == .stopped else { return [] }
        return [.launch]
    }

    /// The launch succeeded.
    public mutating func started(at now: MonotonicTime) -> [Action] {
        state = .running(since: now)
        startedAt = now
        return [.noWake]
    }

    /// The launch failed; it is tried again.
    public mutating func launchFailed(at now: MonotonicTime) -> [Action] { backOff(now) }

    /// It should not run any more.
    public mutating func stop(at now: MonotonicTime) -> [Action] {
        isWanted = false
        switch state {
        case .running: return end(policy.stop[...], now)
        case .waiting:
            state = .stopped
            return [.noWake, .ended]
        case .stopped: return [.ended]
        case .ending: return []
        }
    }

    /// Its records cannot be read any more: stop this process and start another.
    public mutating func condemn(at now: MonotonicTime) -> [Action] {
        guard case .running = state else { return [] }
        return end(policy.condemn[...], now)
    }

    /// Does steps until one has to be waited for.
    private mutating func end(_ steps: ArraySlice<StopStep>, _ now: MonotonicTime) -> [Action] {
        var rest = steps
        var actions: [Action] = []
        while let step = rest.popFirst() {
            switch step {
            case .closeTasks: actions.append(.closeTaskPipe)
            case .signal(let signal): actions.append(.signal(signal))
            case .wait(let time):
                state = .ending(rest)
                return actions + [.wake(at: now + time)]
            }
        }
        state = .ending([])
        return actions + [.noWake]
    }

    /// The time asked for has come.
    public mutating func woke(at now: MonotonicTime) -> [Action] {
        switch state {
        case .ending(let steps): return end(steps, now)
        case .waiting:
            state = .stopped
            restarts += 1
            return [.launch]
        case .stopped, .running: return []
        }
    }

    /// The process has ended.
    public mutating func exited(at now: MonotonicTime) -> [Action] {
        if let since = startedAt.take(), now - since >= policy.healthy { delay = policy.restartMinimum }
        guard isWanted else {
            state = .stopped
            return [.noWake, .ended]
        }
        return backOff(now)
    }

    private mutating func backOff(_ now: MonotonicTime) -> [Action] {
        state = .waiting
        let wait = delay
        delay = min(policy.restartMaximum, TimeSpan(nanoseconds: delay.nanoseconds * 2))
        return [.wake(at: now + wait)]
    }
}
