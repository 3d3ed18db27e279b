// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Work that runs once per request burst, outside of the event that asked for it: made once, scheduled often.
public final class Deferred {
    private let reactor: Reactor
    private let action: () -> Void
    public private(set) var isScheduled = false

    init(reactor: Reactor, action: @escaping () -> Void) {
        self.reactor = reactor
        self.action = action
    }

    /// Runs at the end of the turn under way; when asked from deferred work, in the next turn.
    public func schedule() {
        cancelled = false
        guard !isScheduled else { return }
        isScheduled = true
        reactor.schedule(self)
    }

    /// Takes the request back.
    public func cancel() { cancelled = isScheduled }
    private var cancelled = false

    func run() {
        isScheduled = false
        if cancelled {
            cancelled = false
            return
        }
        action()
    }
}
