// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// The buffered writing end of one record pipe, for any number of threads, and the thread that flushes it.
///
/// Under `.block` whoever finds the buffer full writes all of it, holding the lock. Under `.dropNewest` a write takes
/// what there is room for; the flushing thread then waits for more room without the lock.
final class RecordPipe: Sendable {
    /// What the bytes on the descriptor are.
    enum Format {
        case frames
        /// Lines of JSON for people, on a descriptor that belongs to others: it is neither changed nor closed.
        case lines
    }

    let state: Monitor<State>
    let droppedRecords = Atomic<Int>(0)
    /// Set by `close`, for threads that wait for room.
    let closing: Latch?

    struct State: ~Copyable {
        let descriptor: CInt
        let format: Format
        let options: PluginOptions
        var writer: FieldWriter
        /// When the oldest buffered record must be written; meaningless while the buffer is empty.
        var flushDeadline = MonotonicTime(nanoseconds: 0)
        /// The flushing thread sleeps without a deadline and wants to be told of the first record.
        var isFlusherIdle = false
        /// The last write found no room for all bytes; the flushing thread waits for it.
        var isFull = false
        /// Bytes that the pipe has taken since it was opened.
        var written = 0
        var isClosed = false
        /// Once writing failed, every later call fails in the same way.
        var failure: PluginError?
        var flusher: pthread_t?
    }

    /// Room beyond the flush limit for the record that crosses it; larger ones make the buffer grow for a while.
    private static let slack = 64 << 10

    init(descriptor: CInt, format: Format = .frames, options: PluginOptions) throws(PluginError) {
        var options = options
        // What others write to the same terminal must not fail for want of room: it stays in blocking mode.
        if format == .lines { options.backPressure = .block }
        if options.backPressure == .dropNewest {
            closing = try Latch()
            try setNonBlocking(descriptor)
        } else {
            closing = nil
        }
        let writer = FieldWriter(capacity: max(options.bufferSize, 0) + Self.slack)
        state = Monitor(State(descriptor: descriptor, format: format, options: options, writer: writer))
    }

    func send(
        dataType: Int32,
        timestamp: Int64,
        priority: RecordPriority,
        _ build: (inout FieldWriter) -> Void
    ) throws(PluginError) -> SendResult {
        try state.withLock { (state) throws(PluginError) in
            try send(&state, dataType: dataType, timestamp: timestamp, priority: priority, build)
        }
    }

    /// Sends a record for each element, without letting other threads' records in between.
    func send<Elements: Sequence>(
        each elements: Elements,
        _ send: (inout State, Elements.Element) throws(PluginError) -> SendResult
    ) throws(PluginError) -> SendCounts {
        try state.withLock { (state) throws(PluginError) in
            var counts = SendCounts(sent: 0, dropped: 0)
            for element in elements {
                switch try send(&state, element) {
                case .sent: counts.sent += 1
                case .dropped: counts.dropped += 1
                }
            }
            return counts
        }
    }

    /// Sends one record; to be called with the lock held.
    func send(
        _ state: inout State,
        dataType: Int32,
        timestamp: Int64,
        priority: RecordPriority,
        _ build: (inout FieldWriter) -> Void
    ) throws(PluginError) -> SendResult {
        try state.checkUsable()
        state.writer.buffer.beginRecord(dataType: dataType, timestamp: timestamp)
        build(&state.writer)
        let limit = state.options.maximumRecordSize
        let size = state.writer.buffer.finishRecord(limit: limit)
        guard size <= limit else { throw .recordTooLarge(size: size, limit: limit) }
        return try commit(&state, priority)
    }

    /// Sends a record that is encoded already.
    func sendEncoded(_ record: RawSpan, priority: RecordPriority) throws(PluginError) -> SendResult {
        try state.withLock { (state) throws(PluginError) in
            try state.checkUsable()
            let limit = min(state.options.maximumRecordSize, Int(UInt32.max))
            guard record.byteCount <= limit else { throw .recordTooLarge(size: record.byteCount, limit: limit) }
            state.writer.buffer.appendRecord(record)
            return try commit(&state, priority)
        }
    }

    /// Keeps the newest record, sees to it that it is written in time, or drops it.
    private func commit(_ state: inout State, _ priority: RecordPriority) throws(PluginError) -> SendResult {
        if state.format == .lines {
            let line = recordLine(state.writer.buffer.record, priority: priority)
            state.writer.buffer.replaceRecord(with: line)
        }
        let wasEmpty = !state.writer.buffer.hasOlder
        if state.writer.buffer.pending >= state.options.bufferSize, !state.isFull {
            try write(&state)
        }
        if state.writer.buffer.pending > state.options.bufferSize, state.writer.buffer.hasOlder {
            state.writer.buffer.removeRecord()
            droppedRecords.add(1, ordering: .relaxed)
            return .dropped
        }
        if wasEmpty, state.writer.buffer.pending > 0 {
            state.flushDeadline = .now.advanced(byMilliseconds: state.options.flushIntervalMilliseconds)
            if state.isFlusherIdle {
                state.isFlusherIdle = false
                self.state.signal()
            }
        }
        return .sent
    }

    /// Writes what is buffered: all of it, or what there is room for; the flushing thread sees to the rest.
    func write(_ state: inout State) throws(PluginError) {
        try state.writeBuffer()
        if state.isFull { self.state.signal() }
    }
}

extension RecordPipe.State {
    func checkUsable() throws(PluginError) {
        if isClosed { throw .closed }
        if let failure { throw failure }
    }

    fileprivate mutating func writeBuffer() throws(PluginError) {
        guard writer.buffer.pending > 0 else { return }
        do throws(PluginError) {
            switch options.backPressure {
            case .block:
                try writeAll(descriptor, writer.buffer.unwritten)
                writer.buffer.removeAll()
            case .dropNewest:
                let count = try writeAvailable(descriptor, writer.buffer.unwritten)
                writer.buffer.removeFirst(count)
                written += count
                isFull = writer.buffer.pending > 0
            }
        } catch {
            writer.buffer.removeAll()
            isFull = false
            failure = error
            throw error
        }
    }
}
