// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// What the `Spooler` goes by.
public struct SpoolPolicy: Equatable, Sendable {
    /// Bytes of all files together; 0 keeps nothing on the disk.
    public var disk = 256 << 20
    /// What a full spool does while there is no server: give the oldest up, or hold the plugins back.
    public var dropsOldest = true
    /// A batch that has waited for its confirmation this long has been written.
    public var age = TimeSpan.seconds(2)
    /// Between two syncs, and between two looks at what has to be written.
    public var interval = TimeSpan.milliseconds(500)
    /// Until a disk that failed is tried again.
    public var retry = TimeSpan.seconds(5)
    /// How long the disk may take for one thing before memory is all there is.
    public var patience = TimeSpan.seconds(10)
    /// Bytes that are written, or read, at a time.
    public var piece = 512 << 10
    /// Bytes of a lane that are kept in memory to be sent, when it has more on the disk.
    public var ahead = 1 << 20
    /// Bytes that are read from the disk in a second to be sent: a fleet that comes back must not flood its servers, nor
    /// its disks.
    public var replayRate = 32 << 20

    public init() {}

    /// At each look those are written that would be too old at the next.
    var writingAge: TimeSpan { TimeSpan(nanoseconds: max(0, age.nanoseconds - interval.nanoseconds)) }

    /// The files of a lane are this long. A small spool has smaller ones, so that giving one up does not empty it.
    public var segmentSize: Int { min(4 << 20, max(64 << 10, disk / 16)) }
}
