// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What waiting for a task ended with.
public enum TaskReception: Sendable, Equatable {
    case task(PluginTask)
    /// The time was over before a task had arrived.
    case timedOut
    /// The agent has ended or wants the plugin to end: flush, close and exit.
    case endOfAgent
}

/// A plugin's connection with the agent that started it.
///
/// Records go out through buffered pipes: they are written when `PluginOptions.bufferSize` bytes have gathered, at the
/// latest `PluginOptions.flushIntervalMilliseconds` after they were sent, and by `flush` and `close`. While nothing is
/// buffered nothing wakes up. Tasks come in with `receive`.
///
/// All methods may be called from any thread. Writing waits while the agent does not read: that is how it slows down
/// a plugin that is too fast, and nothing is dropped. Calls may therefore block for long; do not make them from an
/// actor or a Swift concurrency task that others depend on.
///
///     let client = try PluginClient()
///     try client.send(dataType: 7001) { record in
///         record.add("pid", getpid())
///         record.add("message", "hello")
///     }
///     while let task = try client.receive() { … }
///     client.close()
public final class PluginClient: Sendable {
    private let tasks: TaskReader
    private let records: RecordPipe
    private let highPriorityRecords: RecordPipe?

    /// Takes over the pipes of the agent, and marks them close-on-exec.
    /// - Parameters:
    ///   - descriptors: owned by the client from here on: the record pipes are closed by `close`, the task pipe when
    ///     the client goes away. They stay the caller's when one of them is refused.
    ///   - options: limits and times; the defaults are the contract's.
    /// - Throws: `descriptorNotOpen` or `descriptorUnusable` when the program was not started by an agent, `system`
    ///   when no thread can be started.
    public init(
        descriptors: PluginDescriptors = .inherited,
        options: PluginOptions = PluginOptions()
    ) throws(PluginError) {
        try checkDescriptor(descriptors.tasks, isReadable: true)
        try checkDescriptor(descriptors.records, isReadable: false)
        setCloseOnExec(descriptors.tasks)
        setCloseOnExec(descriptors.records)
        if let highPriority = descriptors.highPriorityRecords {
            try checkDescriptor(highPriority, isReadable: false)
            setCloseOnExec(highPriority)
        }
        tasks = TaskReader(descriptor: descriptors.tasks, limit: options.maximumTaskSize)
        records = RecordPipe(descriptor: descriptors.records, options: options)
        highPriorityRecords = descriptors.highPriorityRecords.map { RecordPipe(descriptor: $0, options: options) }
        do throws(PluginError) {
            try records.startFlusher()
            try highPriorityRecords?.startFlusher()
        } catch {
            close()
            throw error
        }
    }

    deinit {
        close()
    }

    /// The time of day in seconds, which is what a record's timestamp is.
    public static var now: Int64 {
        Int64(time(nil))
    }

    // MARK: Records

    /// Sends a record whose fields the closure adds: they are encoded straight into the write buffer.
    ///
    /// The closure runs while the pipe's buffer is locked: gather what takes time before, and do not use the client
    /// inside of it (that traps).
    /// - Parameters:
    ///   - dataType: the kind of record, as agreed with the server.
    ///   - timestamp: seconds since 1970.
    ///   - priority: `high` takes the high-priority pipe if the agent offers one. There is no order between the two.
    ///   - build: adds the fields; a record without any is legal.
    /// - Throws: `agentGone` once the agent does not read any more (also when an earlier background write found out),
    ///   `recordTooLarge`, `closed`, or `system`.
    public func send(
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        _ build: (inout FieldWriter) -> Void
    ) throws(PluginError) {
        try pipe(for: priority).send(dataType: dataType, timestamp: timestamp, build)
    }

    /// Sends a record with these fields. See the closure form for the parameters and errors.
    public func send(
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        fields: [String: String]
    ) throws(PluginError) {
        try pipe(for: priority).send(dataType: dataType, timestamp: timestamp) { (record) in
            for (key, value) in fields { record.add(key, value) }
        }
    }

    /// Sends a record with these fields, in this order. See the closure form for the parameters and errors.
    public func send(
        dataType: Int32,
        timestamp: Int64 = PluginClient.now,
        priority: RecordPriority = .normal,
        fields: some Sequence<(String, String)>
    ) throws(PluginError) {
        try pipe(for: priority).send(dataType: dataType, timestamp: timestamp) { (record) in
            for (key, value) in fields { record.add(key, value) }
        }
    }

    /// Writes all buffered records now; returns when the pipes have taken them.
    public func flush() throws(PluginError) {
        try highPriorityRecords?.flush()
        try records.flush()
    }

    /// Writes all buffered records and closes the record pipes, which tells the agent that no more will come.
    ///
    /// Waits for the agent to take what is buffered. What it does not take is lost without an error: call `flush`
    /// before to know. A `receive` in another thread is not interrupted; it ends when the agent closes the task pipe.
    /// A second call does nothing.
    public func close() {
        highPriorityRecords?.close()
        records.close()
    }

    private func pipe(for priority: RecordPriority) -> RecordPipe {
        priority == .high ? highPriorityRecords ?? records : records
    }

    // MARK: Tasks

    /// Waits for the next task.
    /// - Returns: nil when the agent has ended or wants the plugin to end: flush, close and exit.
    /// - Throws: `malformedTask` (the next call goes on behind it), `taskTooLarge`, `incompleteTask` (the agent ended
    ///   inside a task; the next call returns nil), or `system`.
    public func receive() throws(PluginError) -> PluginTask? {
        guard case .task(let task) = try tasks.receive(until: nil) else { return nil }
        return task
    }

    /// Waits for the next task for at most this long; 0 or less does not wait.
    /// A task that has arrived in part is kept for the next call. Throws as `receive()` does.
    public func receive(timeoutMilliseconds: Int) throws(PluginError) -> TaskReception {
        try tasks.receive(until: .now.advanced(byMilliseconds: timeoutMilliseconds))
    }
}
