// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

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
/// All methods may be called from any thread. By default writing waits while the agent does not read: that is how it
/// slows down a plugin that is too fast, and nothing is dropped. Calls may therefore block for long; do not make them
/// from an actor or a Swift concurrency task that others depend on. `PluginOptions.backPressure` is the other way.
///
///     let client = try PluginClient()
///     try client.send(dataType: 7001) { record in
///         record.add("pid", getpid())
///         record.add("message", "hello")
///     }
///     while let task = try client.receive() { … }
///     client.close()
///
/// Started in a terminal and not by an agent, or with the environment variable `ELKEID_PLUGIN_DEBUG` set, the client is
/// in debug mode: each record is a line of JSON on standard output, and tasks are lines `DATA_TYPE DATA` on standard
/// input.
public final class PluginClient: Sendable {
    /// Whether records go to standard output and tasks come from standard input.
    public let isInDebugMode: Bool
    private let tasks: TaskReader
    private let records: RecordPipe
    private let highPriorityRecords: RecordPipe?

    /// Takes over the pipes of the agent, and marks them close-on-exec.
    /// - Parameters:
    ///   - descriptors: owned by the client from here on: the record pipes are closed by `close`, the task pipe when
    ///     the client goes away. They stay the caller's when one of them is refused. In debug mode, which only comes
    ///     with the descriptors 3 and 4, they are left alone.
    ///   - options: limits, times and policies; the defaults are the contract's.
    /// - Throws: `descriptorNotOpen` or `descriptorUnusable` when the program was not started by an agent, `system`
    ///   when no thread can be started or no descriptors are left.
    public init(
        descriptors: PluginDescriptors = .inherited,
        options: PluginOptions = PluginOptions()
    ) throws(PluginError) {
        isInDebugMode = DebugMode.isWanted(descriptors)
        if !isInDebugMode {
            try checkDescriptor(descriptors.tasks, isReadable: true)
            try checkDescriptor(descriptors.records, isReadable: false)
            if let highPriority = descriptors.highPriorityRecords {
                try checkDescriptor(highPriority, isReadable: false)
            }
            setCloseOnExec(descriptors.tasks)
            setCloseOnExec(descriptors.records)
            if let highPriority = descriptors.highPriorityRecords { setCloseOnExec(highPriority) }
        }
        let signals = isInDebugMode ? [SIGTERM, SIGINT] : [SIGTERM]
        let termination = options.handlesTerminationSignal ? try TerminationSignal.install(signals) : nil
        if isInDebugMode {
            records = try RecordPipe(descriptor: STDOUT_FILENO, format: .lines, options: options)
            highPriorityRecords = nil
        } else {
            records = try RecordPipe(descriptor: descriptors.records, options: options)
            highPriorityRecords =
                if let descriptor = descriptors.highPriorityRecords {
                    try RecordPipe(descriptor: descriptor, options: options)
                } else {
                    nil
                }
        }
        let limit = options.maximumTaskSize
        tasks = TaskReader(
            descriptor: isInDebugMode ? STDIN_FILENO : descriptors.tasks,
            ownsDescriptor: !isInDebugMode,
            source: isInDebugMode ? TaskLines(limit: limit) : TaskFrames(limit: limit),
            termination: termination
        )
        do throws(PluginError) {
            try records.startFlusher()
            try highPriorityRecords?.startFlusher()
        } catch {
            close()
            throw error
        }
        if isInDebugMode { DebugMode.announce() }
    }

    deinit {
        close()
    }

    /// The time of day in seconds, which is what a record's timestamp is.
    public static var now: Int64 {
        Int64(time(nil))
    }

    /// How many records have been dropped for want of room: always 0 under `BackPressure.block`.
    public var dropped: Int {
        records.droppedRecords.load(ordering: .relaxed)
            + (highPriorityRecords?.droppedRecords.load(ordering: .relaxed) ?? 0)
    }

    /// Writes all buffered records now; returns when the pipes have taken them, under either back-pressure policy.
    public func flush() throws(PluginError) {
        try highPriorityRecords?.flush()
        try records.flush()
    }

    /// Writes all buffered records and closes the record pipes, which tells the agent that no more will come.
    ///
    /// Waits for the agent to take what is buffered: under `BackPressure.block` as long as it takes, under
    /// `.dropNewest` for `PluginOptions.closeTimeoutMilliseconds` at most; the rest counts as dropped. What is lost
    /// because the agent has gone is no error here: call `flush` before to know. A `receive` in another thread is not
    /// interrupted; it ends when the agent closes the task pipe. A second call does nothing.
    public func close() {
        highPriorityRecords?.close()
        records.close()
        tasks.close()
    }

    func pipe(for priority: RecordPriority) -> RecordPipe {
        priority == .high ? highPriorityRecords ?? records : records
    }

    // MARK: Tasks

    /// Waits for the next task.
    /// - Returns: nil when the agent has ended or wants the plugin to end, also by SIGTERM: flush, close and exit.
    /// - Throws: `malformedTask` (the next call goes on behind it), `taskTooLarge`, `incompleteTask` (the agent ended
    ///   inside a task; the next call returns nil), `closed`, or `system`.
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
