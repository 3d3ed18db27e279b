// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

extension RecordPipe {
    /// Writes what is buffered at the time of the call; returns when the pipe has taken it.
    func flush() throws(PluginError) {
        let target = try state.withLock { (state) throws(PluginError) in
            try state.checkUsable()
            let target = state.written + state.writer.buffer.pending
            try write(&state)
            return target
        }
        // Under `.block` all is written by now.
        while try !state.withLock({ (state) throws(PluginError) in try hasWritten(target, &state) }) {
            try waitForRoom()
        }
    }

    private func hasWritten(_ target: Int, _ state: inout State) throws(PluginError) -> Bool {
        if state.writer.buffer.pending == 0, state.failure == nil { return true }
        if state.written >= target { return true }
        try state.checkUsable()
        try write(&state)
        return state.written >= target
    }

    /// Writes what is buffered, ends the flushing thread and closes the descriptor. Later calls do nothing.
    /// Under `.dropNewest` this waits for the reader no longer than the close timeout.
    func close() {
        let descriptor = state.withLock { (state) -> CInt? in
            guard !state.isClosed else { return nil }
            // There is nobody left to tell of a failure.
            if state.failure == nil { try? write(&state) }
            state.isClosed = true
            self.state.signal()
            return state.descriptor
        }
        guard let descriptor else { return }
        closing?.set()
        if closing != nil { drain(descriptor) }
        if let flusher = state.withLock({ (state) in state.flusher }) { pthread_join(flusher, nil) }
        if state.withLock({ (state) in state.format == .frames }) { Glibc.close(descriptor) }
    }

    /// Waits for the reader to take what is buffered until the close timeout is over, and counts the rest as dropped.
    private func drain(_ descriptor: CInt) {
        let timeout = state.withLock { (state) in state.options.closeTimeoutMilliseconds }
        let deadline = MonotonicTime.now.advanced(byMilliseconds: timeout)
        while state.withLock({ (state) in state.writer.buffer.pending > 0 }) {
            let readiness = try? waitUntilReady(descriptor, for: POLLOUT, until: deadline)
            guard readiness == .ready else { break }
            // A failure empties the buffer.
            state.withLock { (state) in try? write(&state) }
        }
        state.withLock { (state) in
            droppedRecords.add(state.writer.buffer.unwrittenFrames, ordering: .relaxed)
            state.writer.buffer.removeAll()
        }
    }

    /// Waits, without the lock, until the pipe takes bytes again, has an error, or is being closed.
    private func waitForRoom() throws(PluginError) {
        let descriptor = state.withLock { (state) in state.isClosed ? nil : state.descriptor }
        guard let descriptor else { return }
        _ = try waitUntilReady(descriptor, for: POLLOUT, or: closing)
    }

    // MARK: The flushing thread

    /// Starts the thread that writes records at the latest one flush interval after they were sent. It receives no
    /// signals, and holds on to this object until `close`.
    func startFlusher() throws(PluginError) {
        var all = sigset_t()
        var previous = sigset_t()
        unsafe sigfillset(&all)
        unsafe pthread_sigmask(SIG_SETMASK, &all, &previous)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        let status = unsafe pthread_create(
            &thread,
            nil,
            { (context) in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<RecordPipe>.fromOpaque(context).takeRetainedValue().flushUntilClosed()
                return nil
            },
            context.toOpaque()
        )
        guard status == 0 else {
            unsafe context.release()
            throw .system(.pthreadCreate, errno: status)
        }
        state.withLock { (state) in state.flusher = thread }
    }

    private func flushUntilClosed() {
        var isDue = false
        while true {
            var needsRoom = false
            state.waitUntilDone { (state) in
                if !state.isClosed, state.failure == nil, state.writer.buffer.pending > 0 {
                    if !isDue, !state.isFull, MonotonicTime.now < state.flushDeadline {
                        return .waitUntil(state.flushDeadline)
                    }
                    if isDue || !state.isFull {
                        // The next call of the plugin reports a failure.
                        try? write(&state)
                    }
                    needsRoom = state.isFull
                }
                if needsRoom || state.isClosed || state.failure != nil { return .done }
                isDue = false
                state.isFlusherIdle = true
                return .wait
            }
            guard needsRoom else { return }
            // When this fails, the write after it tells why.
            try? waitForRoom()
            isDue = true
        }
    }
}
