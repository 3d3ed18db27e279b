// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Syscalls

/// The array that epoll_wait(2) fills, allocated once.
@safe
final class EventBuffer {
    private let storage: UnsafeMutablePointer<epoll_event>
    private let capacity: Int
    private var filled = 0

    init(capacity: Int) {
        unsafe storage = .allocate(capacity: capacity)
        unsafe storage.initialize(repeating: epoll_event(), count: capacity)
        self.capacity = capacity
    }

    deinit { unsafe storage.deallocate() }

    /// Waits for at least one event, or only looks. An interrupted wait is no event.
    func wait(_ epoll: borrowing FileDescriptor, forever: Bool) throws(Errno) -> Int {
        let count = unsafe epoll_wait(epoll.rawValue, storage, CInt(capacity), forever ? -1 : 0)
        if count < 0 {
            let error = Errno.current
            if error.rawValue != EINTR { throw error }
        }
        filled = max(0, Int(count))
        return filled
    }

    func userData(_ index: Int) -> UInt64 {
        precondition(index < filled, "no such event")
        return unsafe storage[index].data.u64
    }

    func readiness(_ index: Int) -> Readiness {
        precondition(index < filled, "no such event")
        return unsafe Readiness(rawValue: storage[index].events)
    }
}
