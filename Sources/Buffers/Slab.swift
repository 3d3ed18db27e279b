// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A block of memory filled front to back, shared by the segments that lie in it.
///
/// ```
///  0        16                 count             capacity
///  | margin | written, kept    | free, to append |
/// ```
/// Invariant: `margin <= count <= capacity`. Bytes below `count` belong to segments; only the owner of a segment
/// may rewrite them. Reference counting frees the slab with its last segment, and its memory goes back to the pool
/// it came from. The margin lets a frame header be lent in front of any payload (`lendingHeader`).
@safe
public final class Slab {
    /// Bytes in front of the first payload, room for one HTTP/2 frame header (RFC 9113 section 4.1) and alignment.
    public static let margin = 16

    let base: UnsafeMutableRawPointer
    public let capacity: Int
    public private(set) var count: Int
    private let pool: SlabPool

    init(memory: UnsafeMutableRawPointer, capacity: Int, pool: SlabPool) {
        unsafe self.base = memory
        self.capacity = capacity
        self.count = Slab.margin
        self.pool = pool
    }

    deinit { unsafe pool.recycle(base) }

    /// Bytes that can still be appended.
    public var room: Int { capacity - count }

    /// Lets `body` append to the free part, at most `limit` bytes, and gives what it wrote as a segment.
    public func append<R, E: Error>(
        limit: Int = .max,
        _ body: (inout OutputRawSpan) throws(E) -> R
    ) throws(E) -> (result: R, written: Segment) {
        let start = count
        let free = unsafe UnsafeMutableRawBufferPointer(start: base + start, count: min(limit, room))
        var output = unsafe OutputRawSpan(buffer: free, initializedCount: 0)
        let result = try body(&output)
        count = start + (unsafe output.finalize(for: free))
        return (result, Segment(slab: self, offset: start, count: count - start))
    }

    /// Appends `bytes`, which must fit.
    public func append(_ bytes: RawSpan) -> Segment {
        precondition(bytes.byteCount <= room, "appending past the end of a slab")
        let start = count
        unsafe bytes.withUnsafeBytes { source in
            if let from = source.baseAddress { unsafe (base + start).copyMemory(from: from, byteCount: source.count) }
        }
        count += bytes.byteCount
        return Segment(slab: self, offset: start, count: bytes.byteCount)
    }
}

/// A run of bytes in a slab, which it keeps alive.
///
/// Two segments never overlap, so the holder of a segment may rewrite its bytes in place.
public struct Segment {
    public let slab: Slab
    public internal(set) var offset: Int
    public internal(set) var count: Int

    init(slab: Slab, offset: Int, count: Int) {
        self.slab = slab
        self.offset = offset
        self.count = count
    }

    /// The bytes of the segment, for the duration of `body`.
    @inlinable
    public func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        try body(unsafe RawSpan(_unsafeStart: pointer, byteCount: count))
    }

    /// The bytes of the segment, to be rewritten in place.
    @inlinable
    public func withMutableBytes<R, E: Error>(_ body: (inout MutableRawSpan) throws(E) -> R) throws(E) -> R {
        var span = unsafe MutableRawSpan(_unsafeStart: pointer, byteCount: count)
        return try body(&span)
    }

    @usableFromInline
    var pointer: UnsafeMutableRawPointer { unsafe slab.base + offset }

    /// The part of this segment in `range` (offsets within the segment).
    public func slice(_ range: Range<Int>) -> Segment {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "slice outside of the segment")
        return Segment(slab: slab, offset: offset + range.lowerBound, count: range.count)
    }

    /// Puts `header` directly in front of the first `length` bytes, lends both as one run to `body`, and puts the
    /// neighbouring bytes back. What is sent is then contiguous without a copy of the payload; the neighbour may be
    /// kept for resending, which is why it is restored.
    func lendingHeader<R, E: Error>(_ header: RawSpan, length: Int, _ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        let size = header.byteCount
        precondition(size <= Slab.margin && length <= count, "header or length beyond the segment")
        let start = unsafe pointer - size
        var saved: (UInt64, UInt64) = (0, 0)
        unsafe withUnsafeMutableBytes(of: &saved) {
            unsafe $0.copyMemory(from: UnsafeRawBufferPointer(start: start, count: size))
        }
        unsafe header.withUnsafeBytes {
            unsafe start.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: size)
        }
        defer {
            unsafe withUnsafeBytes(of: &saved) {
                unsafe start.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: size)
            }
        }
        return try body(unsafe RawSpan(_unsafeStart: start, byteCount: size + length))
    }
}
