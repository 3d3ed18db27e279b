// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import TestSupport
import Testing

/// The head of a record is compared with that of the one before it. Whatever it is, the verdict is the validator's.
@Suite("Splice: heads of records")
struct SpliceHeadTests {
    static let plain = HeadShape()

    /// Between records that leave a shape behind: one of the same shape, and one of the common one.
    static func around(_ record: [UInt8], _ shape: HeadShape) -> [UInt8] {
        Frames.stream([
            plain.record(payload: 12), record, shape.record(payload: 20), record, plain.record(payload: 3), record,
            plain.record(payload: 30),
        ])
    }

    /// Varints of every size, also beyond the largest, as the numbers of fields 1 and 2 and as the length of field 3.
    @Test(arguments: 1...11, [0, 1, 2, 0x7f] as [UInt8])
    func everySizeOfVarint(typeSize: Int, last: UInt8) throws {
        for timeSize in 1...11 {
            for width in 1...11 {
                let shape = HeadShape(typeSize: typeSize, timeSize: timeSize, width: width, last: last)
                for payload in [0, 1, 7, 127, 128] {
                    let stream = Self.around(shape.record(payload: payload), shape)
                    let reference = SpliceReference(stream, messageSize: 1 << 20)
                    try reference.check(stream, "\(shape.testDescription), last \(last), payload \(payload)")
                }
            }
        }
    }

    /// The length field is wrong by a bit that it has, or has not, in the shape of the record before.
    @Test(arguments: [1, 1 << 7, 1 << 14, 1 << 21, 1 << 28, 3, 127, 129, 16383, 16385], [1, 2, 3, 4])
    func wrongLength(error: Int, width: Int) throws {
        let shape = HeadShape(typeSize: 2, timeSize: 5, width: width)
        for payload in [0, 1, 2, 15, 126, 127, 128, 129, 255, 256, 16383, 16384, 16385] {
            for error in [error, -error] where payload + error >= 0 {
                let stream = Frames.stream([
                    shape.record(payload: payload), shape.record(payload: payload, error: error),
                    shape.record(payload: payload), Self.plain.record(payload: 5),
                ])
                let reference = SpliceReference(stream, messageSize: 1 << 20)
                let comment: Comment = "payload \(payload), wrong by \(error), \(width) bytes of length"
                try reference.check(stream, slabSize: 256 << 10, comment)
                let second = shape.size(payload: payload) + payload + 4
                for cut in second..<(second + 20) { try reference.check(stream, cuts: [cut], comment) }
            }
        }
    }

    /// Every bit of a head, between records of the same shape: tags, ends of varints and the length are all compared.
    @Test(arguments: 1...4, 1...7)
    func everyBitOfTheHead(typeSize: Int, timeSize: Int) throws {
        for width in 1...3 {
            // Ones, so that what one byte more or less of a varint makes of the rest is seldom good by chance.
            let shape = HeadShape(typeSize: typeSize, timeSize: timeSize, width: width)
            let good = shape.record(payload: 9, filler: 0x7f)
            for bit in 0..<(8 * (good.count - 9)) {
                var record = good
                record[bit / 8] ^= 1 << (bit % 8)
                let stream = Frames.stream([good, record, good, good])
                let reference = SpliceReference(stream, messageSize: 1 << 20)
                try reference.check(stream, "bit \(bit) of \(shape.testDescription)")
            }
        }
    }

    /// A record that ends within what is compared, or within the bytes behind it that are.
    @Test(arguments: 0...40)
    func shortRecords(size: Int) throws {
        for shape in [
            Self.plain, HeadShape(typeSize: 7, timeSize: 5, width: 1), HeadShape(typeSize: 1, timeSize: 7, width: 3),
        ] {
            var records = [shape.record(payload: 11)]
            // Cut short: the bytes behind it are those of the next frame's prefix.
            records.append([UInt8](shape.record(payload: 40).prefix(size)))
            if let whole = shape.record(size: size) { records.append(whole) }
            records.append(shape.record(payload: 0))
            for stream in [
                Frames.stream(records), Frames.stream(records + [records[1]]), Frames.stream(records.reversed()),
            ] {
                let reference = SpliceReference(stream, messageSize: 1 << 20)
                try reference.check(stream, "\(size) bytes, \(shape.testDescription)")
                for cut in 0...stream.count { try reference.check(stream, cuts: [cut], "\(size) bytes") }
            }
        }
    }

    /// Where the length of a record, or of its payload, takes one byte more.
    @Test(arguments: [Int](127...130) + [Int](138...145) + [Int](16383...16400))
    func lengthsAtTheBorders(size: Int) throws {
        for width in 1...3 {
            let shape = HeadShape(typeSize: 1, timeSize: 5, width: width)
            guard let record = shape.record(size: size) else { continue }
            #expect(record.count == size)
            let stream = Frames.stream([record, record, shape.record(payload: 1), record])
            let reference = SpliceReference(stream, messageSize: 64_000)
            try reference.check(stream, slabSize: 256 << 10, "\(size) bytes, \(width) of length")
            for cut in [3, 4, 5, 11, 14, 28, size, size + 3, size + 4, size + 16, 2 * size] {
                try reference.check(stream, cuts: [cut], "\(size) bytes, \(width) of length")
            }
        }
    }

    /// Three bytes of varint hold the length of the record, of its payload, of both, or of neither.
    @Test(arguments: [Int](2_097_149...2_097_156) + [2_097_163, 2_097_164, 2_097_165, 2_097_166])
    func lengthsAtTheBorderOfPadding(size: Int) throws {
        let shape = HeadShape(typeSize: 1, timeSize: 5, width: 3)
        guard let record = shape.record(size: size) else { return }
        let small = shape.record(payload: 30)
        let stream = Frames.stream([small, small, record, small, small])
        let reference = SpliceReference(stream, messageSize: 256 << 10)
        #expect(reference.accepted == 5)
        for slabSize in [256 << 10, 6 << 20] {
            try reference.check(stream, slabSize: slabSize, "\(size) bytes")
            for cut in [83, 84, 88, 90, 100, 84 + size, 88 + size, 90 + size] {
                try reference.check(stream, cuts: [cut], slabSize: slabSize, "\(size) bytes")
            }
        }
    }

    /// Three bytes of varint show only the low 21 bits of a length: one that is wrong by what is above them is refused.
    @Test(arguments: [0, 5, 1000], [256 << 10, 6 << 20])
    func wrongByMoreThanThreeBytesShow(payload: Int, slabSize: Int) throws {
        let shape = HeadShape(typeSize: 1, timeSize: 5, width: 3)
        let small = shape.record(payload: 30)
        let wrong = shape.record(payload: payload + (1 << 21), error: -(1 << 21))
        let stream = Frames.stream([small, wrong, small])
        let reference = SpliceReference(stream, messageSize: 8 << 20)
        #expect(reference.accepted == (reference.malformed == 0 ? 3 : 2))
        try reference.check(stream, slabSize: slabSize, "payload \(payload)")
    }

    /// A run of frames of one shape goes on beyond what three bytes of varint hold.
    @Test func longRuns() throws {
        let record = HeadShape(typeSize: 1, timeSize: 5, width: 3).record(payload: 100_000)
        let stream = Frames.stream([[UInt8]](repeating: record, count: 45))
        let reference = SpliceReference(stream, messageSize: 8 << 20)
        #expect(reference.accepted == 45 && reference.messages.count == 1)
        try reference.check(stream, slabSize: 6 << 20, "45 records of 100,000 bytes")
    }

    /// The last record ends where the slab does: nothing behind it may be looked at, and it is accepted where it lies.
    @Test(arguments: 9...48)
    func recordsAtTheEndOfTheSlab(size: Int) throws {
        let slabSize = 4200
        let shape = HeadShape(typeSize: 1, timeSize: 5, width: 1)
        let last = shape.record(size: size) ?? Frames.frame([])
        for missing in [0, 1, 3, 4, 5, 23, 24, 27, 28, 29] {
            var records = [[UInt8]](repeating: last, count: 3)
            let used = Frames.stream(records).count
            let room = slabSize - 16 - missing - used - 4
            records.insert(try #require(shape.record(size: room) ?? shape.record(size: room - 1)), at: 0)
            let stream = Frames.stream(records) + Frames.stream([last, last])
            let reference = SpliceReference(stream, messageSize: 1 << 20)
            try reference.check(stream, slabSize: slabSize, "\(size) bytes, \(missing) short of the end")
        }
    }
}
