// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Cuts the bytes of the task pipe into tasks. Does no input of its own.
struct TaskFrames {
    private var bytes: [UInt8] = []
    /// `bytes[start..<end]` have arrived and are not used up; what follows is room.
    private var start = 0
    private var end = 0
    private let limit: Int

    /// Bytes asked from the pipe at a time: what a pipe holds by default.
    private static let readSize = 64 << 10
    private static let lengthSize = 4

    init(limit: Int) {
        self.limit = limit
    }

    var buffered: Int { end - start }

    /// Bytes of the frame that has begun, its length field included; 4 while that is incomplete.
    var expected: Int {
        buffered < Self.lengthSize ? Self.lengthSize : Self.lengthSize + length
    }

    /// The next whole task, or nil when more bytes are needed.
    mutating func next() throws(PluginError) -> PluginTask? {
        guard buffered >= Self.lengthSize else { return nil }
        guard length <= limit else { throw .taskTooLarge(length: length, limit: limit) }
        guard buffered >= expected else { return nil }
        let body = (start + Self.lengthSize)..<(start + expected)
        start = body.upperBound
        do throws(PluginError.MalformedTask) {
            return try PluginTask(decoding: bytes.span.extracting(body))
        } catch {
            throw .malformedTask(error)
        }
    }

    /// Lets `read` fill free room behind what has arrived; it returns how many bytes it stored, or a negative number.
    mutating func fill(_ read: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        if start == end {
            start = 0
            end = 0
        } else if start > 0 {
            bytes.replaceSubrange(0..<(end - start), with: bytes[start..<end])
            end -= start
            start = 0
        }
        // A length over the limit never gets here, so this is bounded by it.
        let needed = max(end + Self.readSize, expected)
        if bytes.count < needed {
            bytes.append(contentsOf: repeatElement(0, count: needed - bytes.count))
        }
        let free = end
        let count = unsafe bytes.withUnsafeMutableBytes { (buffer) in
            unsafe read(UnsafeMutableRawBufferPointer(rebasing: buffer[free...]))
        }
        end += max(count, 0)
        return count
    }

    private var length: Int {
        (0..<Self.lengthSize).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
    }
}

/// The reading end of the task pipe. The descriptor stays open as long as this object lives, so that closing the
/// client cannot pull it away under a thread that waits in `receive`.
final class TaskReader: Sendable {
    private let descriptor: CInt
    private let state: Monitor<State>

    fileprivate struct State {
        var frames: TaskFrames
        var failure: PluginError?
        var hasEnded = false
    }

    init(descriptor: CInt, limit: Int) {
        self.descriptor = descriptor
        state = Monitor(State(frames: TaskFrames(limit: limit)))
    }

    deinit {
        close(descriptor)
    }

    /// Waits for a task until `deadline`, or as long as it takes. A thread that comes while another one waits here
    /// waits for that one first.
    func receive(until deadline: MonotonicTime?) throws(PluginError) -> TaskReception {
        try state.withLock { (state) throws(PluginError) in
            if let failure = state.failure { throw failure }
            while !state.hasEnded {
                if let task = try state.nextTask() { return .task(task) }
                if let deadline, try !waitUntilReady(descriptor, for: POLLIN, until: deadline) { return .timedOut }
                try state.readMore(descriptor)
            }
            return .endOfAgent
        }
    }
}

extension TaskReader.State {
    fileprivate mutating func nextTask() throws(PluginError) -> PluginTask? {
        do throws(PluginError) {
            return try frames.next()
        } catch {
            if case .taskTooLarge = error { failure = error }
            throw error
        }
    }

    fileprivate mutating func readMore(_ descriptor: CInt) throws(PluginError) {
        let count = unsafe frames.fill { (room) in unsafe read(descriptor, room.baseAddress, room.count) }
        if count > 0 { return }
        if count == 0 {
            hasEnded = true
            guard frames.buffered == 0 else {
                throw .incompleteTask(received: frames.buffered, expected: frames.expected)
            }
            return
        }
        switch errno {
        case EINTR: return
        case EAGAIN: _ = try waitUntilReady(descriptor, for: POLLIN, until: nil)
        case let code: throw .system(.read, errno: code)
        }
    }
}
