// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import Foundation
import TestSupport
import Testing

/// Streams of all kinds of records come to the same however reads cut them. `ELKEID_SEED=7` runs one stream alone.
@Suite("Splice: streams against a reference")
struct SpliceStreamTests {
    static let seeds: [UInt64] = {
        if let seed = ProcessInfo.processInfo.environment["ELKEID_SEED"].flatMap(UInt64.init) { return [seed] }
        return [UInt64](0..<40)
    }()

    static func shape(_ random: inout SeededRandom) -> HeadShape {
        HeadShape(
            typeSize: random.int(1...(random.oneIn(4) ? 10 : 3)),
            timeSize: random.int(random.oneIn(4) ? 1...10 : 5...6),
            width: random.int(1...3),
            last: 1
        )
    }

    /// Mostly good; some have a wrong length, one byte changed, or their end missing.
    static func record(_ random: inout SeededRandom, _ shapes: [HeadShape]) -> [UInt8] {
        let shape = shapes[random.int(0...(shapes.count - 1))]
        let payload = random.int(0...(random.oneIn(5) ? 200 : 20))
        switch random.int(0...15) {
        case 0: return shape.record(payload: payload, error: random.oneIn(2) ? 1 : -1)
        case 1: return shape.record(payload: payload, error: [128, -128, 16384, 1 << 21][random.int(0...3)])
        case 2:
            var record = shape.record(payload: payload)
            record[random.int(0...min(15, record.count - 1))] = UInt8(random.int(0...255))
            return record
        case 3:
            let record = shape.record(payload: payload)
            return [UInt8](record.prefix(random.int(0...record.count)))
        case 4: return JudgedRecord.all[random.int(0...(JudgedRecord.all.count - 1))].bytes
        default: return shape.record(payload: payload, filler: UInt8(random.int(0...255)))
        }
    }

    @Test(arguments: seeds)
    func alternatingShapes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for round in 0..<20 {
            let shapes = (0..<random.int(1...4)).map { _ in Self.shape(&random) }
            let records = (0..<random.int(1...60)).map { _ in Self.record(&random, shapes) }
            let stream = Frames.stream(records)
            let messageSize = [0, 1, 50, 200, 1000, 1 << 20][random.int(0...5)]
            let reference = SpliceReference(stream, messageSize: messageSize)
            let comment: Comment = "ELKEID_SEED=\(seed), round \(round), messages of \(messageSize)"
            try reference.check(stream, slabSize: 64 << 10, comment)
            try reference.check(stream, slabSize: 4200, comment)
            for _ in 0..<5 {
                let cuts = (0..<random.int(1...20)).map { _ in random.int(0...stream.count) }.sorted()
                try reference.check(stream, cuts: cuts, comment)
            }
        }
    }

    /// A short stream cut in two everywhere, in three at some places, and into single bytes.
    @Test(arguments: seeds)
    func cutEverywhere(seed: UInt64) throws {
        var random = SeededRandom(seed: ~seed)
        let shapes = (0..<2).map { _ in Self.shape(&random) }
        let stream = Frames.stream((0..<8).map { _ in Self.record(&random, shapes) })
        let reference = SpliceReference(stream, messageSize: random.int(20...300))
        for cut in 0...stream.count {
            try reference.check(stream, cuts: [cut], "ELKEID_SEED=\(seed)")
            try reference.check(stream, cuts: [cut, random.int(cut...stream.count)], "ELKEID_SEED=\(seed)")
        }
        try reference.check(stream, cuts: [Int](0...stream.count), "ELKEID_SEED=\(seed)")
    }

    /// Messages end at the message size exactly, or a byte before or behind it, at any place of the read.
    @Test(arguments: [-1, 0, 1], [1, 2, 5])
    func fullToTheByte(excess: Int, perMessage: Int) throws {
        let shape = HeadShape(typeSize: 1, timeSize: 5, width: 1)
        let record = shape.record(payload: 30)
        let stream = Frames.stream([[UInt8]](repeating: record, count: 4 * perMessage + 1))
        let reference = SpliceReference(stream, messageSize: perMessage * (record.count + 4) - excess)
        for cut in 0...stream.count { try reference.check(stream, cuts: [cut], "\(excess) bytes too many") }
    }

    /// A record that is left out, or written anew, does not end a message that what follows still fits into: else the
    /// cuts between reads would change the messages.
    @Test(arguments: [-1, 1, 300])
    func leftOutRecordsTakeNoRoom(error: Int) throws {
        let shape = HeadShape(typeSize: 1, timeSize: 5, width: 2)
        let (good, small) = (shape.record(payload: 60), shape.record(payload: 0))
        let bad = shape.record(payload: 40, error: error)
        let stream = Frames.stream([good, bad, small, good])
        let reference = SpliceReference(stream, messageSize: good.count + small.count + 8)
        #expect(reference.counts == [2, 1] && reference.malformed == 1)
        for cut in 0...stream.count { try reference.check(stream, cuts: [cut], "wrong by \(error)") }
    }

    @Test func mergedRecordsTakeTheirOwnRoom() throws {
        let twice = hex("0801 1002 1a00 1a00 1a00 1a00 1a00 1a00")
        let record = HeadShape().record(payload: 20)
        let stream = Frames.stream([record, twice, record])
        // What it becomes fits: six bytes and four of prefix.
        for cut in 0...stream.count {
            var splicing = Splicing(messageSize: record.count + 4 + 10)
            try splicing.read(stream, cuts: [cut])
            _ = splicing.messages()
            #expect(splicing.batches.map(\.count) == [2, 1], "cut at \(cut)")
        }
    }
}
