// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Syscalls
import TestSupport

/// Calls a closure with each event; counts them.
final class Handler: ReadinessHandler {
    private(set) var events: [Readiness] = []
    var onEvent: ((Source) -> Void)?

    init(_ onEvent: ((Source) -> Void)? = nil) { self.onEvent = onEvent }

    func handle(_ readiness: Readiness, of source: Source) {
        events.append(readiness)
        onEvent?(source)
    }
}

extension FileDescriptor {
    /// Reads at most `count` bytes, and says how many.
    func discard(_ count: Int) -> IOResult {
        unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { buffer in
            var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
            return read(into: &output)
        }
    }

    func put(_ count: Int) -> IOResult { [UInt8](repeating: 1, count: count).withBytes { write($0) } }
}

extension Source {
    @discardableResult
    func discard(_ count: Int) -> IOResult { withDescriptor { $0.discard(count) } }
}

extension Reactor {
    /// Turns until `condition` holds. It must come true by events that are under way.
    func run(until condition: () -> Bool) throws {
        while !condition() { try turn(wait: true) }
    }
}

/// Swift Testing has an `ExitStatus` too.
typealias ChildEnd = ExitStatus

/// Writes one byte to a pipe.
func poke(_ raw: CInt) -> Bool { unsafe write(raw, "x", 1) == 1 }
