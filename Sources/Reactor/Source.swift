// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
public import Syscalls

/// A descriptor watched by the reactor, and owned by this object until `close()`.
///
/// Closing leaves the epoll set first and the descriptor after it, so no event of it can be delivered any more, not
/// even one that the kernel had already reported in the same turn.
public final class Source {
    private var owned: FileDescriptor?
    private let reactor: Reactor
    private(set) var handler: (any ReadinessHandler)?
    private(set) var slot: SlotKey
    private var registered = false

    /// What it waits for at this moment; set it to change. Empty means paused.
    public private(set) var interest: Interest = []

    init(_ descriptor: consuming FileDescriptor, reactor: Reactor, handler: any ReadinessHandler) {
        self.owned = consume descriptor
        self.reactor = reactor
        self.handler = handler
        self.slot = SlotKey(index: 0, generation: 0)
        self.slot = reactor.attach(self)
    }

    public var isOpen: Bool { owned != nil }

    /// Changes what is waited for; costs a system call only when it differs.
    public func wait(for new: Interest) {
        guard new != interest, let raw = rawDescriptor else { return }
        let operation = new.isEmpty ? EPOLL_CTL_DEL : registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD
        reactor.control(operation, raw, new, slot)
        registered = !new.isEmpty
        interest = new
    }

    /// The open descriptor, for reading and writing. Must not be called after `close()`.
    public func withDescriptor<R: ~Copyable, E: Error>(_ body: (borrowing FileDescriptor) throws(E) -> R) throws(E) -> R
    {
        guard let raw = rawDescriptor else { preconditionFailure("a closed source was used") }
        // The optional's payload cannot be borrowed out of a class; this second view never closes it.
        let view = FileDescriptor(owning: raw)
        do throws(E) {
            let result = try body(view)
            _ = view.release()
            return result
        } catch {
            _ = view.release()
            throw error
        }
    }

    private var rawDescriptor: CInt? {
        switch owned {
        case .some(let descriptor): return descriptor.rawValue
        case .none: return nil
        }
    }

    /// Leaves the reactor and closes the descriptor. Again: nothing.
    public func close() { _ = takeDescriptor() }

    /// Leaves the reactor and gives the descriptor to the caller.
    public func takeDescriptor() -> FileDescriptor? {
        guard owned != nil else { return nil }
        wait(for: [])
        reactor.detach(slot)
        handler = nil
        return owned.take()
    }
}
