// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import TestSupport
import Testing

@Suite("Splice: repeated payloads, large records, batches")
struct SpliceShapeTests {
    /// As a message field, occurrences of field 3 merge, which is concatenation; as bytes only the last would count.
    @Test(
        arguments: [
            ("two", "0801 1002 1a03010203 1a020405", "0801 1002 1a050102030405"),
            ("three, scalars in between", "1a0101 0801 1a0102 1002 1a0103", "0801 1002 1a03010203"),
            ("the last one is empty", "0801 1002 1a03010203 1a00", "0801 1002 1a03010203"),
            ("all are empty", "1a00 1a00", "1a00"),
            ("no scalars", "1a0101 1a0102", "1a020102"),
            ("the last scalar counts", "0801 0805 1003 1004 1a0101 1a0102", "0805 1004 1a020102"),
            ("zero is kept", "0800 1000 1a00 1a0101", "0800 1000 1a0101"),
            ("negative", "08ffffffffffffffffff01 1a0101 1a0102", "08ffffffffffffffffff01 1a020102"),
            ("padded", "888000 818000 9a8000 8100 07 1a0108", "0801 1a020708"),
            (
                "behind unknown fields of each type",
                "2001 290102030405060708 3203616263 3d01020304 23 2b 0805 110102030405060708 1a0101 0d01020304 2c 24 1a0107 0801 1a0108",
                "0801 1a020708"
            ),
        ]
    )
    func payloadsAreConcatenated(_ name: String, _ record: String, _ expected: String) throws {
        let before = try Frames.record(size: 20)
        let after = try Frames.record(size: 30)
        let bytes = Frames.stream([before, hex(record), after])
        for cut in 0...bytes.count {
            var splicing = Splicing()
            try splicing.read(bytes, cuts: [cut])
            #expect(splicing.splicer.accepted == 3 && splicing.splicer.malformed == 0)
            #expect(try splicing.records() == [before, hex(expected), after], "\(name), cut at \(cut)")
        }
    }

    /// What was merged means what the plugin's record meant.
    @Test func mergedRecordMeansTheSame() throws {
        let record = Record(dataType: 7, timestamp: 8, payload: Samples.payload([("a", "1")]))
        let more = Samples.payload([("b", "2"), ("c", "")])
        var writer = WireWriter()
        record.encode(into: &writer)
        writer.message(3, more)
        var splicing = Splicing()
        try splicing.read(Frames.frame(writer.bytes)[...])
        let spliced = try #require(try splicing.records().first)
        #expect(try Record(decoding: spliced) == Record(decoding: writer.bytes))
        #expect(try Record(decoding: spliced).payload?.entries.count == 3)
    }

    /// Around the largest length that three bytes of varint hold, and the largest record.
    @Test(arguments: [2_097_150, 2_097_151, 2_097_152, 8 << 20], [8 << 10, 256 << 10, 16 << 20])
    func largeRecords(_ size: Int, _ slabSize: Int) throws {
        let large = try Frames.record(size: size)
        let small = try Frames.record(size: 100)
        #expect(large.count == size)
        let bytes = Frames.stream([small, large, small])
        for cuts in [[], [104, 108], [105], [106, 107], [108 + size], [110 + size], [1000, 500_000, 2_000_000]] {
            var splicing = Splicing(slabSize: slabSize)
            try splicing.read(bytes, cuts: cuts)
            let messages = splicing.messages()
            #expect(splicing.batches.map(\.count) == [1, 1, 1], "larger than a message: alone in its own")
            #expect(messages.map(\.count) == [104, size + (size < 2_097_152 ? 4 : 5), 104])
            let records = try splicing.records()
            let same =
                records.count == 3 && areEqual(records[0], small) && areEqual(records[1], large)
                && areEqual(records[2], small)
            #expect(same, "cuts \(cuts)")
        }
    }

    /// A length beyond the limit: where the next frame starts is not known any more.
    @Test(arguments: [8_388_609, 16_777_216, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
    func streamIsLost(_ length: Int) throws {
        let good = [try Frames.record(size: 50), try Frames.record(size: 60)]
        let start = 54 + 64
        let bytes = Frames.stream(good) + Frames.frame([8, 1], length: length) + Frames.stream(good)
        for cut in start...(start + 6) {
            var splicing = Splicing()
            let lost = #expect(throws: StreamLost.self) { try splicing.read(bytes, cuts: [cut]) }
            #expect(lost?.length == UInt32(length) && lost?.description.contains("\(length)") == true)
            #expect(try splicing.records() == good, "what came before is still good")
            #expect(splicing.splicer.accepted == 2 && splicing.splicer.malformed == 0)
        }
    }

    /// A frame that is going to be dropped holds no memory while the rest of it arrives.
    @Test func malformedLargeFrameHoldsNoSlabs() throws {
        let size = 3_000_000
        var record = try Frames.record(size: size)
        record[0] = 0x0d
        let bytes = Frames.frame(record)
        var splicing = Splicing(slabSize: 8 << 10)
        for start in stride(from: 0, to: bytes.count, by: 4096) {
            try splicing.read(bytes[start..<min(start + 4096, bytes.count)])
            #expect(splicing.pool.outstanding <= 1, "after \(start) bytes")
            #expect(splicing.splicer.partialBytes == 0)
        }
        splicing.arena.releaseIfUnused()
        #expect(splicing.pool.outstanding == 0)
        #expect(splicing.splicer.malformed == 1 && splicing.splicer.isAtFrameBoundary)
        #expect(splicing.messages() == [])
    }

    /// A partial record counts with what it holds.
    @Test func partialRecordIsAccountedFor() throws {
        let bytes = Frames.frame(try Frames.record(size: 100_000))
        var splicing = Splicing(slabSize: 8 << 10)
        try splicing.read(bytes[..<50_000])
        #expect(splicing.splicer.partialBytes == 50_000 && !splicing.splicer.isAtFrameBoundary)
        #expect(splicing.pool.outstanding == 50_000 / (8192 - Slab.margin) + 1)
        #expect(splicing.splicer.openBytes == 0 && splicing.splicer.cut() == nil)
        try splicing.read(bytes[50_000...])
        #expect(splicing.splicer.partialBytes == 0 && splicing.splicer.accepted == 1)
    }

    /// Records of every size around the message size, in whole and in pieces: no batch is too large, and none is cut
    /// while the next record would have fitted.
    @Test(arguments: 0..<30 as Range<UInt64>)
    func batchSizes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let messageSize = random.int(40...400)
        let records = try (0..<200).map { _ in try Frames.record(size: random.int(10...(messageSize + 30))) }
        let bytes = Frames.stream(records)
        var splicing = Splicing(messageSize: messageSize)
        let cuts = (0..<random.int(0...300)).map { _ in random.int(0...bytes.count) }.sorted()
        try splicing.read(bytes, cuts: cuts)
        #expect(try splicing.records() == records, "seed \(seed)")
        for (batch, next) in zip(splicing.batches, splicing.batches.dropFirst()) {
            #expect(batch.bytes.count <= messageSize || batch.count == 1, "seed \(seed)")
            let first = try #require(try PackagedData(decoding: next.bytes.toArray()).records.first)
            #expect(batch.bytes.count + 4 + first.encoded.count > messageSize, "seed \(seed)")
        }
    }

    @Test func cutTakesWhatIsComplete() throws {
        let record = try Frames.record(size: 40)
        var splicing = Splicing()
        #expect(splicing.splicer.cut() == nil)
        let bytes = Frames.stream([record, record, record])
        try splicing.read(bytes[..<100])
        #expect(splicing.splicer.openBytes == 88)
        let cut = splicing.splicer.cut()
        let batch = try #require(cut)
        #expect(batch.count == 2 && batch.bytes.count == 88 && batch.bytes.segmentCount == 1)
        #expect(splicing.splicer.openBytes == 0 && splicing.splicer.cut() == nil)
        try splicing.read(bytes[100...])
        #expect(try splicing.records() == [record])
    }

    /// Nothing is copied: a run of frames is one segment, where it was read.
    @Test func runOfFramesIsOneSegment() throws {
        var splicing = Splicing(slabSize: 64 << 10)
        let records = try (0..<100).map { try Frames.record(size: 20 + $0) }
        let bytes = Frames.stream(records)
        for start in stride(from: 0, to: bytes.count, by: 97) {
            try splicing.read(bytes[start..<min(start + 97, bytes.count)])
        }
        let cut = splicing.splicer.cut()
        let batch = try #require(cut)
        #expect(batch.count == 100 && batch.bytes.segmentCount == 1 && splicing.pool.outstanding == 1)
    }
}
