// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A record as a value, for `PluginClient.send(records:)`. The closure forms of `send` need none and cost less.
public struct PluginRecord: Sendable {
    /// The kind of record, as agreed with the server.
    public var dataType: Int32
    /// Seconds since 1970.
    public var timestamp: Int64
    /// Sent in this order.
    public var fields: [(key: String, value: String)]

    /// A record of this kind, now, without fields unless given.
    public init(dataType: Int32, timestamp: Int64 = PluginClient.now, fields: [(key: String, value: String)] = []) {
        self.dataType = dataType
        self.timestamp = timestamp
        self.fields = fields
    }
}

/// Which pipe a record takes.
public enum RecordPriority: Sendable {
    case normal
    /// Through the high-priority pipe if the agent offers one, otherwise as `normal`.
    case high
}

/// What happens to a record when the buffer is full and the agent does not read.
public enum BackPressure: Sendable {
    /// `send` waits until the agent reads: nothing is lost, and a plugin that is too fast is slowed down.
    case block
    /// The record is dropped and counted, and `send` returns at once. For plugins that must not stand still, such as
    /// those that empty a buffer of the kernel.
    case dropNewest
}

/// What became of a record.
public enum SendResult: Sendable, Equatable {
    /// It is buffered or written.
    case sent
    /// There was no room for it: only under `BackPressure.dropNewest`.
    case dropped
}

/// What became of several records.
public struct SendCounts: Sendable, Equatable {
    /// How many are buffered or written.
    public var sent: Int
    /// How many there was no room for.
    public var dropped: Int

    public init(sent: Int, dropped: Int) {
        self.sent = sent
        self.dropped = dropped
    }
}
