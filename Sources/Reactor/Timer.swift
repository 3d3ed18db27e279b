// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A timer that is made once and armed as often as needed; arming allocates nothing.
public final class Timer {
    /// When it fires, or `distantFuture` while it is not armed.
    public internal(set) var deadline = MonotonicTime.distantFuture
    var position = -1
    let action: () -> Void
    private let reactor: Reactor

    init(reactor: Reactor, action: @escaping () -> Void) {
        self.reactor = reactor
        self.action = action
    }

    public var isArmed: Bool { position >= 0 }

    /// Fires once, not before `deadline`: rounded up to the reactor's granularity, so that timers close to each
    /// other share a wakeup.
    public func arm(at deadline: MonotonicTime) { reactor.arm(self, at: deadline) }

    public func arm(after span: TimeSpan) { reactor.arm(self, at: MonotonicTime.now() + span) }

    public func cancel() { reactor.cancel(self) }
}

/// A binary heap of armed timers; each knows its place, so changing and removing one costs O(log n).
struct TimerHeap {
    private var timers: ContiguousArray<Timer> = []

    var earliest: Timer? { timers.first }
    var count: Int { timers.count }

    mutating func insert(_ timer: Timer) {
        timer.position = timers.count
        timers.append(timer)
        siftUp(timer.position)
    }

    mutating func remove(_ timer: Timer) {
        let position = timer.position
        guard position >= 0 else { return }
        timer.position = -1
        let last = timers.removeLast()
        if last === timer { return }
        timers[position] = last
        last.position = position
        siftUp(position)
        siftDown(last.position)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            if timers[parent].deadline <= timers[child].deadline { return }
            exchange(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var smallest = parent
            for child in (2 * parent + 1)...(2 * parent + 2)
            where child < timers.count && timers[child].deadline < timers[smallest].deadline { smallest = child }
            if smallest == parent { return }
            exchange(parent, smallest)
            parent = smallest
        }
    }

    private mutating func exchange(_ left: Int, _ right: Int) {
        timers.swapAt(left, right)
        timers[left].position = left
        timers[right].position = right
    }
}
