// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Syscalls

/// Our end of a pipe that a plugin writes records to.
final class RecordIntake {
    /// Nil once it is closed, by us or at its end.
    var descriptor: FileDescriptor?
    /// While set nothing is read.
    var isPaused = false
    private(set) var stream = FrameStream()
    /// How often there was something to read.
    private(set) var reads = 0
    private(set) var bytes = 0
    private(set) var firstArrival: MonotonicTime?
    /// When the record with that token arrived.
    private(set) var answers: [String: MonotonicTime] = [:]

    private static let chunk = 64 << 10

    init(_ descriptor: consuming FileDescriptor) { self.descriptor = consume descriptor }

    var tally: FrameTally { stream.tally }

    /// Bytes in the pipe that have not been read (FIONREAD of pipe(7)).
    var queued: Int { descriptor == nil ? 0 : unreadBytes(descriptor?.rawValue ?? -1) }

    /// Reads what is there; false when there is nothing, or no pipe any more.
    func readOnce() -> Bool {
        guard let raw = descriptor?.rawValue else { return false }
        var count = 0
        let more = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, filled in
            repeat { count = unsafe read(raw, buffer.baseAddress, Self.chunk) } while count < 0 && errno == EINTR
            filled = max(0, count)
        }
        guard count > 0 else {
            if count == 0 || errno != EAGAIN { descriptor = nil }
            return false
        }
        let now = MonotonicTime.now()
        reads += 1
        bytes += count
        firstArrival = firstArrival ?? now
        for token in stream.feed(more) where answers[token] == nil && token.hasPrefix(PluginProcess.tokenPrefix) {
            answers[token] = now
        }
        return true
    }
}

func unreadBytes(_ descriptor: CInt) -> Int {
    var count: CInt = 0
    return unsafe ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
}
