// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The least severe message that is logged: the levels of swift-log.
public enum LogLevel: String, Sendable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical
}

/// Compression of messages to the server.
public enum Compression: String, Sendable, CaseIterable {
    case none, snappy, gzip, zstd
}

/// What happens to records when the spool is full.
public enum WhenFull: String, Sendable, CaseIterable {
    /// The oldest ones of the largest lane go, counted.
    case dropOldest = "drop-oldest"
    /// The plugins' pipes are not read until there is room.
    case block
}

/// CPU time as a share of one CPU: 150 % is one and a half.
public struct CPUShare: Sendable, Hashable {
    public var percent: Int

    public init(percent: Int) {
        self.percent = percent
    }
}

/// A limit that was set on purpose, if only to none.
public enum Limit<Value: Sendable & Equatable>: Sendable, Equatable {
    /// Written `infinity`, as systemd does.
    case unlimited
    case at(Value)

    /// Nil: no limit.
    public var value: Value? {
        switch self {
        case .unlimited: nil
        case .at(let value): value
        }
    }
}
