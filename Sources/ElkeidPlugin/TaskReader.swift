// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// The reading end of the task pipe. The descriptor stays open as long as this object lives, so that closing the
/// client cannot pull it away under a thread that waits in `receive`.
final class TaskReader: Sendable {
    private let descriptor: CInt
    private let ownsDescriptor: Bool
    /// Set by the signals that mean the end of the agent.
    private let termination: Latch?
    private let state: Monitor<State>
    private let isClosed = Atomic<Bool>(false)

    fileprivate struct State {
        var source: any TaskSource
        /// A thread waits for the descriptor; others wait for that thread.
        var isWaiting = false
        var failure: PluginError?
        var hasEnded = false
    }

    /// - Parameters:
    ///   - descriptor: where the bytes come from; closed by `deinit` if `ownsDescriptor`.
    ///   - source: makes tasks of them.
    ///   - termination: when it is set, the agent has ended as well.
    init(descriptor: CInt, ownsDescriptor: Bool, source: sending any TaskSource, termination: Latch?) {
        self.descriptor = descriptor
        self.ownsDescriptor = ownsDescriptor
        self.termination = termination
        state = Monitor(State(source: source))
    }

    deinit {
        if ownsDescriptor { Glibc.close(descriptor) }
    }

    /// Makes later calls of `receive` fail. A thread that waits in it goes on waiting.
    func close() {
        isClosed.store(true, ordering: .releasing)
    }

    /// Waits for a task until `deadline`, or as long as it takes.
    func receive(until deadline: MonotonicTime?) throws(PluginError) -> TaskReception {
        guard !isClosed.load(ordering: .acquiring) else { throw .closed }
        while true {
            if let reception = try takeOrBeginWait(until: deadline) { return reception }
            let readiness: Result<Readiness, PluginError>
            do throws(PluginError) {
                readiness = .success(
                    try waitUntilReady(descriptor, for: POLLIN, or: termination, until: deadline)
                )
            } catch {
                readiness = .failure(error)
            }
            let isOver = try state.withLock { (state) throws(PluginError) in
                state.isWaiting = false
                self.state.signal()
                guard try readiness.get() == .ready else { return try readiness.get() == .timedOut }
                try state.readMore(descriptor)
                return false
            }
            if isOver { return .timedOut }
        }
    }

    /// What there is to return; nil when the calling thread is the one to wait for the descriptor now.
    private func takeOrBeginWait(until deadline: MonotonicTime?) throws(PluginError) -> TaskReception? {
        var result: Result<TaskReception?, PluginError> = .success(nil)
        state.waitUntilDone { (state) in
            result = state.take(isTerminated: termination != nil && TerminationSignal.isRequested)
            if case .success(nil) = result {
                guard state.isWaiting else {
                    state.isWaiting = true
                    return .done
                }
                guard let deadline else { return .wait }
                if MonotonicTime.now < deadline { return .waitUntil(deadline) }
                result = .success(.timedOut)
            }
            return .done
        }
        return try result.get()
    }
}

extension TaskReader.State {
    /// A task, the end or an error that is there already; nil when more bytes are needed.
    fileprivate mutating func take(isTerminated: Bool) -> Result<TaskReception?, PluginError> {
        if isTerminated { return .success(.endOfAgent) }
        if let failure { return .failure(failure) }
        do throws(PluginError) {
            if let task = try source.next() { return .success(.task(task)) }
            guard hasEnded else { return .success(nil) }
            defer { source.buffer = InputBuffer() }
            return .success(try source.end().map { .task($0) } ?? .endOfAgent)
        } catch {
            if case .taskTooLarge = error { failure = error }
            return .failure(error)
        }
    }

    /// Reads what has arrived; the descriptor must be ready.
    fileprivate mutating func readMore(_ descriptor: CInt) throws(PluginError) {
        let count = unsafe source.buffer.fill(expecting: source.expected) { (room) in
            unsafe read(descriptor, room.baseAddress, room.count)
        }
        if count == 0 { hasEnded = true }
        if count < 0, errno != EINTR, errno != EAGAIN { throw .system(.read, errno: errno) }
    }
}
