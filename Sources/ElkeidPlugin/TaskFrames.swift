// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Cuts bytes into tasks. Does no input of its own.
protocol TaskSource {
    /// What has arrived and is not used up.
    var buffer: InputBuffer { get set }
    /// Bytes of the task that has begun, as far as that is known.
    var expected: Int { get }
    /// The next whole task, or nil when more bytes are needed.
    mutating func next() throws(PluginError) -> PluginTask?
    /// The input has ended: the last task that has not been returned yet, or nil.
    mutating func end() throws(PluginError) -> PluginTask?
}

/// Tasks as the agent sends them: frames of a length in 4 bytes and a Task message.
struct TaskFrames: TaskSource {
    var buffer = InputBuffer()
    private let limit: Int

    private static let lengthSize = 4

    init(limit: Int) {
        self.limit = limit
    }

    /// The length field included; 4 while that is incomplete. A length over the limit never gets far, so this is
    /// bounded by it.
    var expected: Int {
        buffer.count < Self.lengthSize ? Self.lengthSize : Self.lengthSize + length
    }

    mutating func next() throws(PluginError) -> PluginTask? {
        guard buffer.count >= Self.lengthSize else { return nil }
        guard length <= limit else { throw .taskTooLarge(length: length, limit: limit) }
        let size = expected
        guard buffer.count >= size else { return nil }
        defer { buffer.removeFirst(size) }
        do throws(PluginError.MalformedTask) {
            return try PluginTask(decoding: buffer.bytes.extracting(Self.lengthSize..<size))
        } catch {
            throw .malformedTask(error)
        }
    }

    mutating func end() throws(PluginError) -> PluginTask? {
        guard buffer.count > 0 else { return nil }
        throw .incompleteTask(received: buffer.count, expected: expected)
    }

    private var length: Int {
        (0..<Self.lengthSize).reduce(0) { $0 | Int(buffer.bytes[$1]) << (8 * $1) }
    }
}
