// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A queue of bytes made of segments: appended at the tail, consumed at the head, never copied on the way.
///
/// Invariant: no segment is empty, and `count` is the sum of theirs. Segments that continue one another in the same
/// slab are joined, so a run of pipe reads is one segment. Places before `head` were consumed and hold nothing: a
/// chain that never runs dry must not keep the slabs that went through it.
public struct BufferChain {
    private var segments: ContiguousArray<Segment?> = []
    private var head = 0
    public private(set) var count = 0

    public init() {}

    public init(_ segment: Segment) { append(segment) }

    public var isEmpty: Bool { count == 0 }
    public var segmentCount: Int { segments.count - head }

    /// Capacity of the slabs that this chain keeps alive, adjacent segments of one slab counted once.
    public var retainedCapacity: Int {
        var total = 0
        var last: Slab?
        forEachSegment { segment in
            if segment.slab !== last { total += segment.slab.capacity }
            last = segment.slab
        }
        return total
    }

    public mutating func append(_ segment: Segment) {
        guard segment.count > 0 else { return }
        count += segment.count
        if segments.count > head {
            let last = live(segments.count - 1)
            if last.slab === segment.slab && last.offset + last.count == segment.offset {
                segments[segments.count - 1]?.count += segment.count
                return
            }
        }
        // Most chains have a few segments: one allocation, not one for each doubling.
        if segments.capacity == 0 { segments.reserveCapacity(4) }
        segments.append(segment)
    }

    /// Appends all of `other`; the bytes are shared, not copied.
    public mutating func append(_ other: borrowing BufferChain) {
        for index in other.head..<other.segments.count { append(other.live(index)) }
    }

    /// Empties the chain, keeping its small storage for reuse.
    public mutating func removeAll() {
        segments.removeAll(keepingCapacity: true)
        head = 0
        count = 0
    }

    /// Drops `length` bytes from the head.
    public mutating func removeFirst(_ length: Int) {
        precondition(length <= count, "removing more than the chain has")
        count -= length
        var rest = length
        while rest > 0 {
            let size = live(head).count
            if size > rest {
                segments[head]?.offset += rest
                segments[head]?.count -= rest
                rest = 0
            } else {
                segments[head] = nil
                head += 1
                rest -= size
            }
        }
        compact()
    }

    /// Gives the consumed places back, when they are so many that moving the others costs little for each.
    private mutating func compact() {
        if head == segments.count {
            segments.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 32 && head * 2 >= segments.count {
            segments.removeSubrange(..<head)
            head = 0
        }
    }

    /// A segment that was not consumed.
    @inline(__always)
    private func live(_ index: Int) -> Segment {
        guard let segment = segments[index] else { preconditionFailure("a consumed segment was used") }
        return segment
    }

    /// Moves the first `length` bytes into a chain of their own.
    public mutating func split(first length: Int) -> BufferChain {
        precondition(length <= count, "splitting more than the chain has")
        var front = BufferChain()
        var rest = length
        var index = head
        while rest > 0 {
            let segment = live(index)
            let part = min(rest, segment.count)
            front.append(segment.slice(0..<part))
            rest -= part
            index += 1
        }
        removeFirst(length)
        return front
    }

    /// Calls `body` for each segment in order.
    public func forEachSegment<E: Error>(_ body: (Segment) throws(E) -> Void) throws(E) {
        for index in head..<segments.count { try body(live(index)) }
    }

    /// The first segment, if any.
    public var first: Segment? { isEmpty ? nil : live(head) }

    /// Rewrites the first bytes, across segments where they lie so.
    public func overwriteFirst(_ bytes: RawSpan) {
        precondition(bytes.byteCount <= count, "overwriting more than the chain has")
        var offset = 0
        var index = head
        while offset < bytes.byteCount {
            let segment = live(index)
            let part = min(bytes.byteCount - offset, segment.count)
            segment.withMutableBytes { target in
                for byte in 0..<part {
                    target.storeBytes(
                        of: bytes.byte(at: offset + byte),
                        toByteOffset: byte,
                        as: UInt8.self
                    )
                }
            }
            offset += part
            index += 1
        }
    }

    /// Copies the first `length` bytes to the end of `output`, which must have room for them.
    public func copyFirst(_ length: Int, into output: inout OutputRawSpan) {
        precondition(length <= count && length <= output.freeCapacity, "copying more than there is or fits")
        unsafe output.withUnsafeMutableBytes { buffer, initialized in
            var rest = length
            var index = head
            while rest > 0 {
                let segment = live(index)
                let part = min(rest, segment.count)
                let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[initialized..<(initialized + part)])
                unsafe target.copyMemory(
                    from: UnsafeRawBufferPointer(start: segment.pointer, count: part)
                )
                initialized += part
                rest -= part
                index += 1
            }
        }
    }

    /// All bytes as an array: for tests and small messages.
    public func toArray() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        forEachSegment { segment in
            segment.withBytes { span in unsafe span.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) } }
        }
        return bytes
    }

    /// Lends `header` followed by the first `length` bytes as one contiguous run, and then drops those bytes.
    ///
    /// When the bytes lie in one segment nothing is copied: the header is put in front of them for the moment
    /// (`Segment.lendingHeader`). Otherwise header and bytes are gathered in `scratch`, which must have room.
    public mutating func takeFrame<R, E: Error>(
        header: RawSpan,
        length: Int,
        scratch: inout OutputRawSpan,
        _ body: (RawSpan) throws(E) -> R
    ) throws(E) -> R {
        precondition(length <= count, "a frame longer than the chain")
        if length > 0, live(head).count >= length {
            let segment = live(head)
            let result = try segment.lendingHeader(header, length: length, body)
            removeFirst(length)
            return result
        }
        for offset in 0..<header.byteCount { scratch.append(header.byte(at: offset)) }
        copyFirst(length, into: &scratch)
        let result = try body(scratch.bytes)
        removeFirst(length)
        return result
    }
}

extension RawSpan {
    /// The byte at `offset`, checked.
    @inlinable
    public func byte(at offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }
}
