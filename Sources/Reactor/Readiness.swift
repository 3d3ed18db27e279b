// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux

/// What the kernel says of a descriptor (epoll_ctl(2)).
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 0x001)
    public static let writable = Readiness(rawValue: 0x004)
    /// An error is pending; reading or writing tells which.
    public static let error = Readiness(rawValue: 0x008)
    /// Both directions are over. What was written before can still be read.
    public static let hangup = Readiness(rawValue: 0x010)
}

/// What a source waits for. With neither, it is paused: out of the epoll set altogether, since a descriptor kept
/// with an empty mask still reports hang-ups and would spin the loop.
public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let read = Interest(rawValue: 0x001)
    public static let write = Interest(rawValue: 0x004)
}

/// Receives the readiness of its source. Called on the loop, at most once a turn for each source.
///
/// The reactor is level-triggered: a handler may stop at its budget of bytes with more to come and is called again
/// in the next turn, after every other ready source had its own.
public protocol ReadinessHandler: AnyObject {
    func handle(_ readiness: Readiness, of source: Source)
}
