// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The bytes that wait for a record pipe, and the encoding of the newest record behind them.
///
///     [ written | rest of a frame · frame · … | length, 4 bytes little-endian · Record | room ]
///               ^ head                        ^ recordStart                     count ^
///
/// `firstFrame` is where the first frame starts that is not wholly written: at or before `head`.
/// Invariant: `0 <= firstFrame <= head <= count <= capacity`, and `recordStart <= count`.
@safe
struct RecordBuffer: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private let initialCapacity: Int
    private var count = 0
    private var head = 0
    private var firstFrame = 0
    private var recordStart = 0
    private var payloadStart = 0

    private static let lengthSize = 4
    /// Bytes kept free for the length of a payload: right for 128 to 16,383 bytes, others are moved when finished.
    private static let reservedLengthSize = 2
    /// Less room than this behind the bytes makes a new record move them to the front.
    private static let comfortableRoom = 32 << 10

    init(capacity: Int) {
        initialCapacity = capacity
        self.capacity = capacity
        unsafe base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        unsafe base.deallocate()
    }

    /// Bytes that wait to be written, those of an unfinished record included.
    var pending: Int { count - head }
    /// Whether bytes of earlier records than the newest wait, so that nothing of the newest has been written.
    var hasOlder: Bool { head < recordStart }

    // MARK: Records

    /// Starts a record behind the finished ones.
    mutating func beginRecord(dataType: Int32, timestamp: Int64) {
        startFrame()
        reserve(Self.lengthSize + 2 * (1 + maximumVarintSize) + 1 + Self.reservedLengthSize)
        var end = unsafe base + count + Self.lengthSize
        // Zero is the default of proto3 and not written.
        if dataType != 0 {
            unsafe end = putVarint(UInt64(bitPattern: Int64(dataType)), putByte(0x08, end))
        }
        if timestamp != 0 {
            unsafe end = putVarint(UInt64(bitPattern: timestamp), putByte(0x10, end))
        }
        unsafe end = putByte(0x1A, end) + Self.reservedLengthSize
        count = unsafe end - base
        payloadStart = count
    }

    /// Payload.fields is `map<string, string>`: field 1, repeated, each an entry of key (1) and value (2).
    mutating func appendEntry(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let shortSize = 4 + key.count + value.count
        guard shortSize < 0x80 else { return unsafe appendLongEntry(key, value) }
        // All lengths are single bytes: nearly every entry, and half the cost of the general case.
        reserve(2 + shortSize)
        var end = unsafe base + count
        let beginning = 0x0A | UInt32(shortSize) << 8 | 0x0A << 16 | UInt32(key.count) << 24
        unsafe end.storeBytes(of: beginning.littleEndian, as: UInt32.self)
        unsafe end = copyBytes(key, end + 4)
        unsafe end.storeBytes(of: (0x12 | UInt16(value.count) << 8).littleEndian, as: UInt16.self)
        unsafe end = copyBytes(value, end + 2)
        count = unsafe end - base
    }

    @inline(never)
    private mutating func appendLongEntry(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        let size = 2 + varintSize(key.count) + key.count + varintSize(value.count) + value.count
        reserve(1 + varintSize(size) + size)
        var end = unsafe base + count
        unsafe end = putVarint(UInt64(size), putByte(0x0A, end))
        unsafe end = putBytes(key, putByte(0x0A, end))
        unsafe end = putBytes(value, putByte(0x12, end))
        count = unsafe end - base
    }

    /// Fills in the lengths of the record begun last, and keeps it if its size is at most `limit`.
    /// - Returns: the size of the encoded record, without the 4 bytes of its length.
    mutating func finishRecord(limit: Int) -> Int {
        let payloadSize = count - payloadStart
        let lengthSize = varintSize(payloadSize)
        let shift = lengthSize - Self.reservedLengthSize
        let size = payloadStart + shift + payloadSize - recordStart - Self.lengthSize
        guard size <= limit, size <= Int(UInt32.max) else {
            removeRecord()
            return size
        }
        if shift != 0 {
            reserve(max(shift, 0))
            unsafe memmove(base + payloadStart + shift, base + payloadStart, payloadSize)
        }
        _ = unsafe putVarint(UInt64(payloadSize), base + payloadStart - Self.reservedLengthSize)
        count += shift
        unsafe base.storeBytes(of: UInt32(size).littleEndian, toByteOffset: recordStart, as: UInt32.self)
        return size
    }

    /// Adds a record that is encoded already, of at most `UInt32.max` bytes.
    mutating func appendRecord(_ record: RawSpan) {
        startFrame()
        var length = UInt32(record.byteCount).littleEndian
        unsafe withUnsafeBytes(of: &length) { unsafe append($0) }
        unsafe record.withUnsafeBytes { unsafe append($0) }
    }

    /// The newest record, finished, without its length.
    var record: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let start = unsafe base + recordStart + Self.lengthSize
            let span = unsafe Span<UInt8>(
                _unsafeStart: start.assumingMemoryBound(to: UInt8.self),
                count: count - recordStart - Self.lengthSize
            )
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Puts these bytes, which are no frame, in place of the newest record and its length.
    mutating func replaceRecord(with bytes: [UInt8]) {
        count = recordStart
        unsafe bytes.withUnsafeBytes { unsafe append($0) }
    }

    /// Takes the newest record away again; nothing of it may have been written.
    mutating func removeRecord() {
        count = recordStart
        if pending == 0 { removeAll() }
    }

    // MARK: Writing

    /// What waits to be written.
    var unwritten: RawSpan {
        @_lifetime(borrow self)
        get {
            let span = unsafe RawSpan(_unsafeStart: base + head, byteCount: pending)
            return unsafe _overrideLifetime(span, borrowing: self)
        }
    }

    /// Notes that this many bytes have been written.
    mutating func removeFirst(_ written: Int) {
        head += written
        guard pending > 0 else { return removeAll() }
        while let end = endOfFrame(at: firstFrame), end <= head { firstFrame = end }
    }

    /// How many frames have not been written, or not to their end. Goes through all of them.
    var unwrittenFrames: Int {
        var frames = 0
        var start = firstFrame
        while let end = endOfFrame(at: start) {
            frames += 1
            start = end
        }
        return frames
    }

    /// Forgets all frames, and gives back what unusually large records made the buffer grow.
    mutating func removeAll() {
        (count, head, firstFrame, recordStart) = (0, 0, 0, 0)
        guard capacity > initialCapacity else { return }
        unsafe base.deallocate()
        unsafe base = .allocate(byteCount: initialCapacity, alignment: 16)
        capacity = initialCapacity
    }

    private func endOfFrame(at start: Int) -> Int? {
        guard start < count else { return nil }
        let length = unsafe UInt32(littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        return start + Self.lengthSize + Int(length)
    }

    // MARK: Room

    private mutating func startFrame() {
        if firstFrame > 0, capacity - count < Self.comfortableRoom {
            unsafe memmove(base, base + firstFrame, count - firstFrame)
            count -= firstFrame
            head -= firstFrame
            firstFrame = 0
        }
        recordStart = count
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count)
        count = unsafe copyBytes(bytes, base + count) - base
    }

    /// Makes room for `additional` bytes behind `count`.
    @inline(__always)
    private mutating func reserve(_ additional: Int) {
        guard additional > capacity - count else { return }
        grow(additional)
    }

    @inline(never)
    private mutating func grow(_ additional: Int) {
        let newCapacity = max(count + additional, capacity + capacity / 2)
        let grown = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        unsafe grown.copyMemory(from: base, byteCount: count)
        unsafe base.deallocate()
        unsafe base = grown
        capacity = newCapacity
    }
}

// MARK: Bytes. Each requires room at `end`, and returns the new end.

@unsafe
@inline(__always)
private func putByte(_ byte: UInt8, _ end: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    unsafe end.storeBytes(of: byte, as: UInt8.self)
    return unsafe end + 1
}

@unsafe
@inline(__always)
private func putVarint(_ value: UInt64, _ end: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    var rest = value
    var end = unsafe end
    while rest >= 0x80 {
        unsafe end = putByte(UInt8(truncatingIfNeeded: rest) | 0x80, end)
        rest >>= 7
    }
    return unsafe putByte(UInt8(truncatingIfNeeded: rest), end)
}

/// A length and the bytes.
@unsafe
@inline(__always)
private func putBytes(_ bytes: UnsafeRawBufferPointer, _ end: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    unsafe copyBytes(bytes, putVarint(UInt64(bytes.count), end))
}

@unsafe
@inline(__always)
private func copyBytes(_ bytes: UnsafeRawBufferPointer, _ end: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    if let start = bytes.baseAddress { unsafe end.copyMemory(from: start, byteCount: bytes.count) }
    return unsafe end + bytes.count
}
