// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How the head of a record looks: field 1, field 2, the tag and the length of field 3, which is all the rest. Every
/// plugin library writes records so, and the records of a plugin mostly have heads of equal lengths.
///
/// ```
/// | 08 | data type | 10 | timestamp | 1a | length | payload …
///  ^ varints: in each byte but its last one the highest bit is set
/// ```
/// So the shape of one record tells what to compare in the next: two words under a mask (tags, and where the varints
/// end), and the length. That is what a record costs; any other goes through `RecordValidator`.
struct RecordShape {
    /// Bytes from a record's first on that may be read whatever its length is.
    static let readable = 24

    /// Of the first sixteen bytes: what is compared, and with what.
    private var mask: (UInt64, UInt64)
    private var expected: (UInt64, UInt64)
    /// Where the length is, which of its bytes' bits are the number's, and which say that another byte follows.
    private var lengthAt: Int
    private var lengthMask: UInt64
    private var lengthMarks: UInt64
    private var payloadAt: Int

    /// Matches nothing.
    init() {
        mask = (0, 0)
        expected = (1, 1)
        (lengthAt, lengthMask, lengthMarks, payloadAt) = (0, 0, 0, 0)
    }

    /// The shape of a whole record of `length` bytes; nil when it is not of this kind. `readable` bytes can be read.
    @inline(never)
    init?(of record: UnsafeRawPointer, length: Int) {
        let type = unsafe Self.word(record, 0)
        let typeSize = Self.varintSize(type)
        guard type & 0xff == 0x08, typeSize > 0 else { return nil }
        let timeAt = 1 + typeSize
        let time = unsafe Self.word(record, timeAt)
        let timeSize = Self.varintSize(time)
        guard time & 0xff == 0x10, timeSize > 0 else { return nil }
        lengthAt = timeAt + 1 + timeSize + 1
        let size = unsafe Self.word(record, lengthAt - 1)
        let sizeSize = Self.varintSize(size)
        // Three bytes hold every length that is patched in place.
        guard size & 0xff == 0x1a, 1...3 ~= sizeSize, lengthAt + sizeSize <= 16 else { return nil }
        payloadAt = lengthAt + sizeSize
        lengthMask = 1 << UInt64(8 * sizeSize) - 1
        lengthMarks = Self.marks(sizeSize)
        // The length itself is compared as a whole, with what it must be.
        let head = Self.mark(0x08, typeSize, at: 0, in: (0, 0, 0, 0))
        let both = Self.mark(0x10, timeSize, at: timeAt, in: head)
        let all = Self.mark(0x1a, 0, at: lengthAt - 1, in: both)
        mask = (all.0, all.1)
        expected = (all.2, all.3)
        guard unsafe matches(record, length) else { return nil }
    }

    /// Is the record of this shape, and of this length?
    @inline(__always)
    func matches(_ record: UnsafeRawPointer, _ length: Int) -> Bool {
        guard unsafe Self.word(record, 0) & mask.0 == expected.0,
            unsafe Self.word(record, 8) & mask.1 == expected.1
        else { return false }
        let rest = Self.spread(UInt64(truncatingIfNeeded: length &- payloadAt)) | lengthMarks
        return unsafe Self.word(record, lengthAt) & lengthMask == rest
    }

    /// The hot loop of all: patches the prefixes of the frames at `at` that are of this shape, and leaves `at` at the first
    /// that is not, ends beyond `limit`, or is too near to `end` to be looked at. A function of its own, so that
    /// everything it needs is in registers.
    @inline(never)
    func patchRun(_ base: UnsafeMutableRawPointer, _ at: inout Int, _ count: inout Int, end: Int, limit: Int) {
        let shape = self
        // What ends before `bound` has a length that fits in three bytes.
        let bound = min(end, limit, at + FrameSplicer.paddedLimit)
        let last = end - 4 - Self.readable
        var place = at
        var patched = 0
        while place <= last {
            let length = unsafe base.loadUnaligned(fromByteOffset: place, as: UInt32.self).littleEndian
            let next = place &+ 4 &+ Int(length)
            let record = unsafe UnsafeRawPointer(base + (place &+ 4))
            guard next <= bound, unsafe shape.matches(record, Int(length)) else { break }
            unsafe base.storeBytes(
                of: Self.paddedPrefix(Int(length)).littleEndian,
                toByteOffset: place,
                as: UInt32.self
            )
            place = next
            patched &+= 1
        }
        at = place
        count += patched
    }

    /// 0x0a and `length` in three bytes of varint, as a little-endian word.
    @inline(__always)
    static func paddedPrefix(_ length: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: (spread(UInt64(truncatingIfNeeded: length)) | 0x8080) << 8 | 0x0a)
    }

    /// The low 21 bits of a number, seven to a byte, as varints have them.
    @inline(__always)
    static func spread(_ value: UInt64) -> UInt64 {
        value & 0x7f | value << 1 & 0x7f00 | value << 2 & 0xffff_ffff_ff7f_0000
    }

    /// Bytes of the varint behind the first byte of a word, 0 when it does not end within it.
    @inline(__always)
    private static func varintSize(_ word: UInt64) -> Int {
        let ends = ~word & 0x8080_8080_8080_8000
        return ends == 0 ? 0 : ends.trailingZeroBitCount >> 3
    }

    /// The highest bits of all but the last of `count` bytes.
    @inline(__always)
    private static func marks(_ count: Int) -> UInt64 { 0x8080_8080_8080_80 & (1 << UInt64(8 * (count - 1)) - 1) }

    /// Adds a tag at an offset, with a varint of `size` bytes behind it, to two words of masks and two of what is expected.
    private static func mark(
        _ tag: UInt64,
        _ size: Int,
        at offset: Int,
        in words: (UInt64, UInt64, UInt64, UInt64)
    ) -> (UInt64, UInt64, UInt64, UInt64) {
        var words = words
        for index in 0...size {
            let byte = offset + index
            let shift = UInt64(8 * (byte & 7))
            let mask: UInt64 = (index == 0 ? 0xff : 0x80) << shift
            let expected: UInt64 = (index == 0 ? tag : index < size ? 0x80 : 0) << shift
            if byte < 8 {
                words.0 |= mask
                words.2 |= expected
            } else {
                words.1 |= mask
                words.3 |= expected
            }
        }
        return words
    }

    @inline(__always)
    private static func word(_ bytes: UnsafeRawPointer, _ at: Int) -> UInt64 {
        unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }
}
