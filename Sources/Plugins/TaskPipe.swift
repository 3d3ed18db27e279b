// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire
public import Reactor
public import Syscalls

/// Writes tasks to a plugin: framed, in order, never a half frame followed by another. What the pipe does not take
/// waits, up to a limit. A task that was written whole is the plugin's; of every other the sender is told.
public final class TaskPipe: ReadinessHandler {
    /// The Go plugin library gives up on a larger task and its plugin exits.
    public static let maximumTask = 1 << 20
    /// Bytes that may wait for a plugin that does not read.
    public static let maximumQueue = 4 << 20

    public enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        case tooLarge(Int)
        case queueFull
        case closed

        public var description: String {
            switch self {
            case .tooLarge(let bytes): "the task has \(bytes) bytes, the plugin accepts \(TaskPipe.maximumTask)"
            case .queueFull: "the plugin does not read its tasks: \(TaskPipe.maximumQueue) bytes are waiting"
            case .closed: "the plugin is not running"
            }
        }
    }

    private var source: Source?
    private var queue: [UInt8] = []
    private var written = 0
    /// Tasks that are not written whole, and where in the queue each ends.
    private var unwritten: [(task: PluginTask, end: Int)] = []
    private let onSettled: (PluginTask, _ isWritten: Bool) -> Void
    /// What was queued so far: tasks, and bytes with their framing.
    public private(set) var sentTasks: UInt64 = 0
    public private(set) var sentBytes: UInt64 = 0

    /// - Parameter onSettled: called once for each task that was accepted: when it has been written whole, or cannot be any
    ///   more. Its data are gone then.
    public init(
        _ descriptor: consuming FileDescriptor,
        reactor: Reactor,
        onSettled: @escaping (PluginTask, _ isWritten: Bool) -> Void = { _, _ in }
    ) {
        self.onSettled = onSettled
        source = reactor.watch(descriptor, for: [], handler: self)
    }

    /// Bytes that wait for the plugin to read.
    public var waiting: Int { queue.count - written }

    public func send(_ task: PluginTask) throws(Refusal) {
        guard source != nil else { throw .closed }
        let size = task.encodedSize
        guard size <= Self.maximumTask else { throw .tooLarge(size) }
        guard waiting + size + 4 <= Self.maximumQueue else { throw .queueFull }
        var writer = WireWriter()
        task.encodeFrame(into: &writer)
        queue += writer.bytes
        var receipt = task
        receipt.data = ""
        unwritten.append((receipt, queue.count))
        sentTasks += 1
        sentBytes += UInt64(writer.bytes.count)
        flush()
    }

    public func handle(_ readiness: Readiness, of source: Source) { flush() }

    private func flush() {
        while let source, written < queue.count {
            let (bytes, start) = (queue, written)
            let result = source.withDescriptor { fd in
                unsafe fd.write(bytes.span.bytes.extracting(droppingFirst: start))
            }
            switch result {
            case .bytes(let count):
                written += count
                settle()
            case .wouldBlock: return source.wait(for: .write)
            case .failed:
                // EPIPE: the plugin has closed its end. That it is gone is told by its process.
                return close()
            }
        }
        queue.removeAll(keepingCapacity: queue.capacity <= 64 << 10)
        written = 0
        source?.wait(for: [])
    }

    /// Tells the plugin that the agent is done with it: it reads the end of the file.
    public func close() {
        source?.close()
        source = nil
        queue = []
        written = 0
        let lost = unwritten
        unwritten = []
        for entry in lost { onSettled(entry.task, false) }
    }

    /// Tasks whose end has been written are the plugin's from here on.
    private func settle() {
        let done = unwritten.prefix { $0.end <= written }
        guard !done.isEmpty else { return }
        unwritten.removeFirst(done.count)
        for entry in done { onSettled(entry.task, true) }
    }
}
