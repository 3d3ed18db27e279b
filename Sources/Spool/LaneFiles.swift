// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A lane's chain of segments, oldest first, and its cursor.
struct LaneFiles {
    struct Segment: Equatable {
        var header: SegmentHeader
        var name: String
        var size: Int
        /// Bytes that are known to be on the disk.
        var isSynced: Bool
    }

    let lane: SpoolLane
    var segments: [Segment] = []
    /// Of the first segment that is begun.
    var firstNumber: UInt64 = 1
    var cursor = SpoolCursor()
    /// Behind the last batch that was written.
    var written = SpoolPosition.zero
    /// The writing that the last batch belongs to.
    var attempt: UInt32 = 0
    /// Nothing may be appended to the last segment: something may lie behind its end.
    var isSealed = false
    /// Names of files were made or removed since the folder was synced.
    var hasNewNames = false
    /// Where reading goes on: the place, its segment's number and the offset in it.
    var resume: (sequence: UInt64, segment: UInt64, offset: Int)?

    init(lane: SpoolLane) { self.lane = lane }

    var bytes: Int { segments.reduce(0) { $0 + $1.size } }
    /// Is everything confirmed?
    var isEmpty: Bool { cursor.first.sequence >= written.sequence }
    /// And are its files gone?
    var hasNothing: Bool { segments.isEmpty && isEmpty }

    /// Batches of segment `index` from here on are not its own: they were written again in the next one.
    func limit(ofSegment index: Int) -> UInt64 {
        index + 1 < segments.count ? segments[index + 1].header.first.sequence : written.sequence
    }
}

/// What the spool holds of one lane.
public struct SpoolContents: Equatable, Sendable {
    public var lane: SpoolLane
    /// The first batch that is not confirmed, and the place behind the last one.
    public var first: SpoolPosition
    public var end: SpoolPosition
    /// Of its segments, confirmed batches included.
    public var bytes: Int
    public var segments: Int
    /// When its oldest segment was begun, in seconds since 1970.
    public var oldest: UInt64

    public init(
        lane: SpoolLane,
        first: SpoolPosition,
        end: SpoolPosition,
        bytes: Int,
        segments: Int,
        oldest: UInt64
    ) {
        self.lane = lane
        self.first = first
        self.end = end
        self.bytes = bytes
        self.segments = segments
        self.oldest = oldest
    }

    /// Records that wait, damaged ones included.
    public var records: UInt64 { end.record - first.record }
}
