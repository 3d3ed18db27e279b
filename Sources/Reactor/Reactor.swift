// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
public import Syscalls

/// The event loop: one thread, one epoll set.
///
/// A turn waits for events, calls each ready source once, then the timers that are due, then the work that was deferred
/// by then. What deferred work defers runs in the next turn, which does not wait: work that is split over turns lets
/// every source in between.
public final class Reactor {
    /// Timers are rounded up to this: timers within one millisecond share a wakeup.
    public static let granularity = TimeSpan.milliseconds(1)
    /// Events taken from the kernel at once. More stay there for the next turn.
    static let eventsPerTurn = 64

    private let epoll: FileDescriptor
    private var slots = SlotTable()
    private var timers = TimerHeap()
    private let timerDescriptor: FileDescriptor
    private var armedDeadline = MonotonicTime.distantFuture
    private var deferred: ContiguousArray<Deferred> = []
    private var running: ContiguousArray<Deferred> = []
    private var stopped = false
    private let events: EventBuffer
    /// User data of the reactor's own timerfd; no slot has this generation and index together.
    private static let timerUserData = UInt64.max

    private var rest: (span: TimeSpan, action: (MonotonicTime) -> Void)?
    private var endOfTurn = MonotonicTime.now()
    /// What the loop did since it was made.
    public private(set) var statistics = Statistics()

    public struct Statistics: Sendable, Equatable {
        /// Returns of epoll_wait that had waited.
        public var wakeups: UInt64 = 0
        /// Turns, including those that did not wait.
        public var turns: UInt64 = 0
        public var timersFired: UInt64 = 0
        public var events: UInt64 = 0
        /// Events of sources that were closed earlier in the same turn.
        public var staleEvents: UInt64 = 0
        /// The longest time between the return from waiting and the next wait, in nanoseconds.
        public var longestTurn: Int64 = 0
    }

    public init() throws(Errno) {
        let epoll = CLinux_epoll_create()
        if epoll < 0 { throw Errno.current }
        self.epoll = FileDescriptor(owning: epoll)
        let timer = CLinux_timerfd_create(CInt(MonotonicTime.clock))
        if timer < 0 { throw Errno.current }
        self.timerDescriptor = FileDescriptor(owning: timer)
        self.events = EventBuffer(capacity: Reactor.eventsPerTurn)
        if CLinux_epoll_ctl(epoll, EPOLL_CTL_ADD, timer, CLinux_EPOLLIN, Reactor.timerUserData) != 0 {
            throw Errno.current
        }
    }

    // MARK: Sources

    /// Takes `descriptor` and watches it for `interest`.
    public func watch(
        _ descriptor: consuming FileDescriptor,
        for interest: Interest,
        handler: any ReadinessHandler
    ) -> Source {
        let source = Source(descriptor, reactor: self, handler: handler)
        source.wait(for: interest)
        return source
    }

    /// Sources that are open.
    public var sourceCount: Int { slots.count }

    func attach(_ source: Source) -> SlotKey { slots.insert(source) }
    func detach(_ key: SlotKey) { slots.remove(key) }

    func control(_ operation: CInt, _ descriptor: CInt, _ interest: Interest, _ key: SlotKey) {
        let result = CLinux_epoll_ctl(epoll.rawValue, operation, descriptor, interest.rawValue, key.userData)
        // ENOMEM and ENOSPC (max_user_watches) aside, every failure here is our own bug; those two leave no way on.
        precondition(result == 0, "epoll_ctl: \(Errno.current)")
    }

    // MARK: Timers

    /// A timer that runs `action` each time it fires. Keep it: an unreferenced timer is still armed until it fires.
    public func makeTimer(_ action: @escaping () -> Void) -> Timer { Timer(reactor: self, action: action) }

    func arm(_ timer: Timer, at deadline: MonotonicTime) {
        timers.remove(timer)
        let step = UInt64(Reactor.granularity.nanoseconds)
        let rounded = deadline.nanoseconds.addingReportingOverflow(step - 1)
        timer.deadline =
            rounded.overflow ? .distantFuture : MonotonicTime(nanoseconds: rounded.partialValue / step * step)
        timers.insert(timer)
    }

    func cancel(_ timer: Timer) {
        timers.remove(timer)
        timer.deadline = .distantFuture
    }

    /// Sets the timerfd for the earliest deadline, when that has changed since the last turn: however many timers were
    /// armed in between, it is one system call, and a cancelled timer wakes nobody.
    private func armTimerDescriptor() {
        let earliest = timers.earliest?.deadline ?? .distantFuture
        guard earliest != armedDeadline else { return }
        armedDeadline = earliest
        let result = CLinux_timerfd_arm(
            timerDescriptor.rawValue,
            earliest == .distantFuture ? 0 : max(1, earliest.nanoseconds)
        )
        precondition(result == 0, "timerfd_settime: \(Errno.current)")
    }

    private func fireTimers() {
        guard let first = timers.earliest else { return }
        let now = MonotonicTime.now()
        guard first.deadline <= now else { return }
        // A timer armed again by an action for a time that is already past fires in the next turn.
        var due: ContiguousArray<Timer> = []
        while let timer = timers.earliest, timer.deadline <= now {
            timers.remove(timer)
            due.append(timer)
        }
        for timer in due where timer.deadline <= now && !timer.isArmed {
            timer.deadline = .distantFuture
            statistics.timersFired += 1
            timer.action()
        }
    }

    // MARK: Deferred work

    /// Work that can be asked for many times and runs once, in the next turn or at the end of this one.
    public func makeDeferred(_ action: @escaping () -> Void) -> Deferred { Deferred(reactor: self, action: action) }

    func schedule(_ work: Deferred) { deferred.append(work) }

    private func runDeferred() {
        guard !deferred.isEmpty else { return }
        swap(&running, &deferred)
        for work in running { work.run() }
        running.removeAll(keepingCapacity: true)
    }

    // MARK: The loop

    /// Runs until `stop()`.
    public func run() throws(Errno) {
        stopped = false
        while !stopped { try turn(wait: true) }
    }

    /// Calls `action` with the time whenever nothing is due for at least `span`, before the loop sleeps: for work that is
    /// worth it only then. It must not make anything due.
    public func whenNothingIsDue(for span: TimeSpan, _ action: @escaping (MonotonicTime) -> Void) {
        rest = (span, action)
    }

    /// Ends `run()` after the turn under way.
    public func stop() { stopped = true }

    /// One turn. With `wait` false it takes what is ready and returns at once.
    public func turn(wait: Bool) throws(Errno) {
        armTimerDescriptor()
        let waits = wait && deferred.isEmpty
        if waits, let rest, armedDeadline >= endOfTurn + rest.span { rest.action(endOfTurn) }
        let count = try events.wait(epoll, forever: waits)
        let started = MonotonicTime.now()
        statistics.turns += 1
        if waits { statistics.wakeups += 1 }
        for index in 0..<count { dispatch(events.userData(index), events.readiness(index)) }
        fireTimers()
        runDeferred()
        endOfTurn = MonotonicTime.now()
        statistics.longestTurn = max(statistics.longestTurn, (endOfTurn - started).nanoseconds)
    }

    private func dispatch(_ userData: UInt64, _ readiness: Readiness) {
        statistics.events += 1
        if userData == Reactor.timerUserData {
            // Read so that it is quiet again; how often it expired does not matter, the heap knows what is due.
            _ = drainCounter(timerDescriptor)
            armedDeadline = .distantFuture
            return
        }
        guard let source = slots[SlotKey(userData: userData)], let handler = source.handler else {
            statistics.staleEvents += 1
            return
        }
        handler.handle(readiness, of: source)
    }
}

/// Reads the 8-byte counter of a timerfd or eventfd.
func drainCounter(_ descriptor: borrowing FileDescriptor) -> IOResult {
    var counter: UInt64 = 0
    return unsafe withUnsafeMutableBytes(of: &counter) { bytes in
        var output = unsafe OutputRawSpan(buffer: bytes, initializedCount: 0)
        return descriptor.read(into: &output)
    }
}
