// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The buffered writing end of one record pipe, for any number of threads, and the thread that flushes it.
final class RecordPipe: Sendable {
    private let options: PluginOptions
    private let state: Monitor<State>

    fileprivate struct State: ~Copyable {
        let descriptor: CInt
        var buffer: FieldWriter
        /// When the oldest buffered record must be written; meaningless while the buffer is empty.
        var flushDeadline = MonotonicTime(nanoseconds: 0)
        /// The flushing thread sleeps without a deadline and wants to be told of the first record.
        var isFlusherIdle = false
        var isClosed = false
        /// Once writing failed, every later call fails in the same way.
        var failure: PluginError?
        var flusher: pthread_t?
    }

    /// Room beyond the flush limit for the record that crosses it; larger ones make the buffer grow for a while.
    private static let slack = 64 << 10

    init(descriptor: CInt, options: PluginOptions) {
        self.options = options
        let capacity = options.bufferSize + Self.slack
        state = Monitor(State(descriptor: descriptor, buffer: FieldWriter(capacity: capacity)))
    }

    func send(dataType: Int32, timestamp: Int64, _ build: (inout FieldWriter) -> Void) throws(PluginError) {
        try state.withLock { (state) throws(PluginError) in
            try state.checkUsable()
            let wasEmpty = state.buffer.count == 0
            state.buffer.beginRecord(dataType: dataType, timestamp: timestamp)
            build(&state.buffer)
            let size = state.buffer.finishRecord(limit: options.maximumRecordSize)
            guard size <= options.maximumRecordSize else {
                throw .recordTooLarge(size: size, limit: options.maximumRecordSize)
            }
            if state.buffer.count >= options.bufferSize {
                try state.writeBuffer()
            } else if wasEmpty {
                state.flushDeadline = .now.advanced(byMilliseconds: options.flushIntervalMilliseconds)
                if state.isFlusherIdle {
                    state.isFlusherIdle = false
                    self.state.signal()
                }
            }
        }
    }

    func flush() throws(PluginError) {
        try state.withLock { (state) throws(PluginError) in
            try state.checkUsable()
            try state.writeBuffer()
        }
    }

    /// Writes what is buffered, ends the flushing thread and closes the descriptor. Later calls do nothing.
    func close() {
        let (descriptor, flusher) = state.withLock { (state) -> (CInt?, pthread_t?) in
            guard !state.isClosed else { return (nil, nil) }
            // There is nobody left to tell of a failure.
            if state.failure == nil { try? state.writeBuffer() }
            state.isClosed = true
            self.state.signal()
            return (state.descriptor, state.flusher)
        }
        if let flusher { pthread_join(flusher, nil) }
        if let descriptor { Glibc.close(descriptor) }
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
        state.waitUntilDone { (state) in
            if !state.isClosed, state.failure == nil, state.buffer.count > 0 {
                if MonotonicTime.now < state.flushDeadline { return .waitUntil(state.flushDeadline) }
                // The next call of the plugin reports a failure.
                try? state.writeBuffer()
            }
            if state.isClosed || state.failure != nil { return .done }
            state.isFlusherIdle = true
            return .wait
        }
    }
}

extension RecordPipe.State {
    fileprivate func checkUsable() throws(PluginError) {
        if isClosed { throw .closed }
        if let failure { throw failure }
    }

    fileprivate mutating func writeBuffer() throws(PluginError) {
        guard buffer.count > 0 else { return }
        defer { buffer.removeAll() }
        do throws(PluginError) {
            try writeAll(descriptor, buffer.frames)
        } catch {
            failure = error
            throw error
        }
    }
}
