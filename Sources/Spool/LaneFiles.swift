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
    /// Of the next segment that is begun; never given twice while any file with it is there.
    var nextNumber: UInt64 = 1
    var cursor = SpoolCursor()
    /// Behind the last batch that was written.
    var written = SpoolPosition.zero
    /// The writing that the last batch belongs to, if that is known.
    var attempt: UInt32?
    /// Nothing may be appended to the last segment: something may lie behind its end.
    var isSealed = false
    /// Segments that could not be removed when what they were begun for failed. Whatever is written goes into segments
    /// with higher numbers, which make them void.
    var leftovers: [String] = []
    /// Where reading goes on: the place, its segment's number and the offset in it.
    var resume: (sequence: UInt64, segment: UInt64, offset: Int)?

    init(lane: SpoolLane) { self.lane = lane }

    var bytes: Int { segments.reduce(0) { $0 + $1.size } }
    /// Is everything confirmed?
    var isEmpty: Bool { cursor.first >= written }
    /// And are its files gone?
    var hasNothing: Bool { segments.isEmpty && isEmpty && leftovers.isEmpty }

    /// Batches of segment `index` from here on are not its own: they are those of a later one, or were given up when
    /// their places were given again.
    func limit(ofSegment index: Int) -> SpoolPosition {
        segments[(index + 1)...].reduce(written) { min($0, $1.header.first) }
    }

    /// Were all its places given again?
    func isVoid(segment index: Int) -> Bool {
        index < segments.count - 1 && limit(ofSegment: index) <= segments[index].header.first
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
    public var records: UInt64 { end.record - min(first.record, end.record) }
}
