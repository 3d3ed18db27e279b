// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers

/// A frame announced more bytes than any record may have: where the next frame starts is not known any more.
public struct StreamLost: Error, Equatable, Sendable, CustomStringConvertible {
    public let length: UInt32
    public var description: String {
        "a frame of \(length) bytes was announced, the limit is \(FrameSplicer.maximumRecord): the stream is lost"
    }
}

/// Turns what a plugin wrote into its pipe into what the server reads, in place.
///
/// ```
/// pipe:   | u32 length, little-endian | Record …                |
/// server: | 0x0a | length as 3-byte varint | EncodedRecord …    |   field 1 of PackagedData
/// ```
/// Record and EncodedRecord are the same bytes on the wire, and both prefixes take four bytes when the varint is
/// padded with continuation bits, as every protobuf decoder allows. So a run of frames becomes a run of records by
/// rewriting prefixes, and is sent as it lies. A record over `paddedLimit` bytes gets a prefix of its own.
///
/// A malformed frame is left out and counted; its length still says where the next one starts.
public struct FrameSplicer {
    /// Largest record accepted. The server refuses messages over 10 MiB, and the driver plugin stops at 1 MiB.
    public static let maximumRecord = 8 << 20
    /// Largest length that three bytes of varint hold.
    public static let paddedLimit = (1 << 21) - 1

    /// A batch is cut before it would grow beyond this many bytes; a larger record travels alone.
    public var messageSize: Int
    /// Well-formed records since the beginning.
    public private(set) var accepted: UInt64 = 0
    /// Frames left out since the beginning, and why the last of them was.
    public private(set) var malformed: UInt64 = 0
    public private(set) var lastMalformed: MalformedRecord?
    /// What has been spliced and not been cut yet.
    private var open = RecordBatch()
    private var partial: PartialFrame?

    public init(messageSize: Int) { self.messageSize = messageSize }

    /// Bytes in the batch that is being filled.
    public var openBytes: Int { open.bytes.count }
    /// Bytes held of a frame that is not complete.
    public var partialBytes: Int { partial?.bytes.count ?? 0 }
    /// Is the stream between two frames?
    public var isAtFrameBoundary: Bool { partial == nil }

    /// Takes the batch that is being filled, if there is anything in it.
    public mutating func cut() -> RecordBatch? {
        guard !open.isEmpty else { return nil }
        let batch = open
        open = RecordBatch()
        return batch
    }

    /// Splices newly read bytes. Batches that are full go to `onBatch`, the rest stays for the next call or `cut`.
    ///
    /// `arena` gives room for the few bytes that do not fit in place. After `StreamLost` the splicer is of no use
    /// any more, but what it had accepted before can still be cut.
    public mutating func splice(
        _ input: Segment,
        arena: Arena,
        onBatch: (RecordBatch) -> Void
    ) throws(StreamLost) {
        var cursor = 0
        while cursor < input.count {
            if partial != nil {
                cursor += try feedPartial(input.slice(cursor..<input.count), arena, onBatch)
            } else {
                cursor += spliceWhole(input.slice(cursor..<input.count), onBatch)
                if cursor < input.count { partial = PartialFrame() }
            }
        }
    }

    /// What the walk over whole frames stopped at.
    private enum Stop {
        case incomplete
        case full
        case malformed(MalformedRecord, end: Int)
    }

    /// Splices the frames that lie whole in `input` and returns how many bytes they took. It stops before one that
    /// is not complete, too large or not of the common kind; that one goes the way of partial frames.
    private mutating func spliceWhole(_ input: Segment, _ onBatch: (RecordBatch) -> Void) -> Int {
        var cursor = 0
        while true {
            let start = cursor
            var records = 0
            let room = open.isEmpty ? Int.max : max(0, messageSize - open.bytes.count)
            let stop = walk(input, &cursor, &records, room: room)
            if records > 0 {
                open.bytes.append(input.slice(start..<cursor))
                open.count += records
                accepted += UInt64(records)
            }
            switch stop {
            case .incomplete: return cursor
            case .full: cutInto(onBatch)
            case .malformed(let reason, let end):
                malformed += 1
                lastMalformed = reason
                cursor = end
            }
        }
    }

    /// Patches prefixes from `cursor` on, and leaves `cursor` behind the last frame accepted.
    private func walk(_ input: Segment, _ cursor: inout Int, _ records: inout Int, room: Int) -> Stop {
        let start = cursor
        // The first record of a batch always goes in, later ones while they stay within the message size.
        let limit = start + (room == .max ? messageSize : room)
        return input.withMutableBytes { span -> Stop in
            unsafe span.withUnsafeMutableBytes { buffer -> Stop in
                guard let base = buffer.baseAddress else { return .incomplete }
                let end = buffer.count
                var shape = RecordShape()
                var at = start
                var count = 0
                defer {
                    cursor = at
                    records = count
                }
                while true {
                    unsafe shape.patchRun(base, &at, &count, end: end, limit: limit)
                    guard end - at >= 4 else { return .incomplete }
                    let length = Int(
                        unsafe UInt32(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt32.self))
                    )
                    let next = at + 4 + length
                    if next > end || length > Self.paddedLimit { return .incomplete }
                    let record = unsafe UnsafeRawPointer(base + at + 4)
                    if end - at >= 4 + RecordShape.readable, let found = unsafe RecordShape(of: record, length: length)
                    {
                        shape = found
                    } else if let stop = unsafe Self.validate(record, length, end: next) {
                        return stop
                    }
                    // Only now: what is left out or written anew takes no room here.
                    if next > limit && (count > 0 || room != .max) { return .full }
                    unsafe base.storeBytes(
                        of: RecordShape.paddedPrefix(length).littleEndian,
                        toByteOffset: at,
                        as: UInt32.self
                    )
                    at = next
                    count += 1
                }
            }
        }
    }

    /// Why a whole record cannot be spliced in place; nil when it can.
    @inline(never)
    private static func validate(_ record: UnsafeRawPointer, _ length: Int, end: Int) -> Stop? {
        do throws(MalformedRecord) {
            var validator = RecordValidator(length: length)
            try validator.consume(unsafe RawSpan(_unsafeStart: record, byteCount: length))
            try validator.finish()
            return validator.payloads > 1 ? .incomplete : nil
        } catch {
            return .malformed(error, end: end)
        }
    }

    private mutating func cutInto(_ onBatch: (RecordBatch) -> Void) {
        if let batch = cut() { onBatch(batch) }
    }

    /// Feeds the frame that is not complete and returns how many bytes of `input` it took.
    private mutating func feedPartial(
        _ input: Segment,
        _ arena: Arena,
        _ onBatch: (RecordBatch) -> Void
    ) throws(StreamLost) -> Int {
        guard var frame = partial.take() else { return 0 }
        let taken = try frame.feed(input)
        guard frame.isComplete else {
            partial = frame
            return taken
        }
        do throws(MalformedRecord) {
            let record = try frame.finish(arena)
            if !open.isEmpty && open.bytes.count + record.count > messageSize { cutInto(onBatch) }
            open.bytes.append(record)
            open.count += 1
            accepted += 1
            if open.bytes.count >= messageSize { cutInto(onBatch) }
        } catch {
            malformed += 1
            lastMalformed = error
        }
        return taken
    }
}
