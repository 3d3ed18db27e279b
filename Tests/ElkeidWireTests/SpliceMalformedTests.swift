// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import TestSupport
import Testing

/// A record as hexadecimal digits, and what is wrong with it; nil for those that are legal, however odd.
struct JudgedRecord: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let verdict: MalformedRecord?

    init(_ name: String, _ digits: String, _ verdict: MalformedRecord? = nil) {
        self.name = name
        bytes = hex(digits)
        self.verdict = verdict
    }

    var testDescription: String { name }

    static let all: [JudgedRecord] = legal + malformed

    static let legal: [JudgedRecord] = [
        JudgedRecord("nothing at all", ""),
        JudgedRecord("the common shape", "083b 10e807 1a02 0a00"),
        JudgedRecord("no payload", "083b 10e807"),
        JudgedRecord("empty payload", "0800 1000 1a00"),
        JudgedRecord("only a payload", "1a03 616263"),
        JudgedRecord("fields in reverse", "1a01ff 1001 0802"),
        JudgedRecord("scalars twice", "0801 0802 1003 1004 1a0100"),
        JudgedRecord("padded tag, value and length", "888000 8180808000 908000 01 9a80808000 828000 6162"),
        JudgedRecord("negative numbers", "08ffffffffffffffffff01 10ffffffffffffffffff01 1a00"),
        JudgedRecord("unknown fields of each type", "0801 2001 290102030405060708 3203616263 3d01020304 1002 1a00"),
        JudgedRecord("largest field number", "f8ffffff0f 01"),
        JudgedRecord("unknown group", "0801 23 0805 24 1001 1a00"),
        JudgedRecord("fields 1, 2 and 3 within a group", "23 0d01020304 1200 18 05 24"),
        JudgedRecord("groups within a group", "2323 2b 2c 24 24"),
        JudgedRecord(
            "groups nested 100 deep",
            String(repeating: "23", count: 100) + String(repeating: "24", count: 100)
        ),
        JudgedRecord("payload of any bytes", "0801 1002 1a05 ffffffffff"),
        JudgedRecord("tag of ten bytes", "88808080808080808000 01"),
    ]

    static let malformed: [JudgedRecord] = [
        JudgedRecord("field number 0", "0001", .fieldNumber),
        JudgedRecord("field number 0 behind good fields", "0801 1002 1a00 0200", .fieldNumber),
        JudgedRecord("field number 2^29", "8080808010 01", .fieldNumber),
        JudgedRecord("field number 2^61 - 1", "f8ffffffffffffffff01 01", .fieldNumber),
        JudgedRecord("wire type 6", "26", .wireType(6)),
        JudgedRecord("wire type 7", "0801 27", .wireType(7)),
        JudgedRecord("field 1 of wire type 7", "0f", .wireType(7)),
        JudgedRecord("wire type 6 in a group", "23 0e 24", .wireType(6)),
        JudgedRecord("field 1 fixed32", "0d01020304", .fieldType(field: 1)),
        JudgedRecord("field 1 length-delimited", "0a00", .fieldType(field: 1)),
        JudgedRecord("field 1 as a group", "0b 0c", .fieldType(field: 1)),
        JudgedRecord("field 2 fixed64", "11 0102030405060708", .fieldType(field: 2)),
        JudgedRecord("field 2 ends a group", "14", .fieldType(field: 2)),
        JudgedRecord("field 3 varint", "0801 1002 1805", .fieldType(field: 3)),
        JudgedRecord("field 3 as a group", "1b 1c", .fieldType(field: 3)),
        JudgedRecord("group that is not closed", "0801 23", .unbalancedGroup),
        JudgedRecord("group closed by another field", "23 2c", .unbalancedGroup),
        JudgedRecord("group closed but not opened", "0801 24", .unbalancedGroup),
        JudgedRecord("inner group not closed", "23 2b 24", .unbalancedGroup),
        JudgedRecord(
            "groups nested 101 deep",
            String(repeating: "23", count: 101) + String(repeating: "24", count: 101),
            .groupsTooDeep
        ),
        JudgedRecord("value of 65 bits", "08ffffffffffffffffff02", .varintTooLong),
        JudgedRecord("value of eleven bytes", "088080808080808080808000", .varintTooLong),
        JudgedRecord("tag of eleven bytes", "8880808080808080808000 01", .varintTooLong),
        JudgedRecord("length of eleven bytes", "1a8080808080808080808000", .varintTooLong),
        JudgedRecord("value missing", "08", .pastTheEnd),
        JudgedRecord("value cut off", "0880", .pastTheEnd),
        JudgedRecord("tag cut off", "0801 90", .pastTheEnd),
        JudgedRecord("payload longer than the record", "0801 1002 1a03 6162", .pastTheEnd),
        JudgedRecord("payload shorter than the record", "0801 1002 1a01 6162", .pastTheEnd),
        JudgedRecord("payload of nearly 2^64 bytes", "0801 1002 1affffffffffffffffff01 61", .pastTheEnd),
        JudgedRecord("payload length missing", "0801 1002 1a", .pastTheEnd),
        JudgedRecord("fixed32 cut off", "25 010203", .pastTheEnd),
        JudgedRecord("fixed64 cut off", "21 01020304050607", .pastTheEnd),
        JudgedRecord("unknown bytes longer than the record", "22 05 01", .pastTheEnd),
    ]
}

@Suite("Splice: odd and malformed records")
struct SpliceMalformedTests {
    static let before = hex("083b 10e807 1a04 01020304")
    static let after = hex("0805 1006 1a00")

    /// Between two good records and cut in every way into two reads: the verdict is always the same, and the
    /// neighbours arrive.
    @Test(arguments: JudgedRecord.all)
    func verdictWhereverItIsCut(_ judged: JudgedRecord) throws {
        let bytes = Frames.stream([Self.before, judged.bytes, Self.after])
        let expected = judged.verdict == nil ? [Self.before, judged.bytes, Self.after] : [Self.before, Self.after]
        for cut in 0...bytes.count {
            var splicing = Splicing()
            try splicing.read(bytes, cuts: [cut])
            let splicer = splicing.splicer
            #expect(splicer.accepted == UInt64(expected.count), "cut at \(cut)")
            #expect(splicer.malformed == UInt64(3 - expected.count), "cut at \(cut)")
            #expect(splicer.lastMalformed == judged.verdict, "cut at \(cut)")
            #expect(splicer.isAtFrameBoundary && splicer.partialBytes == 0)
            #expect(try splicing.records() == expected, "cut at \(cut)")
        }
        var splicing = Splicing()
        try splicing.read(bytes, cuts: [Int](1..<bytes.count))
        #expect(splicing.splicer.lastMalformed == judged.verdict)
        #expect(try splicing.records() == expected)
    }

    @Test(arguments: JudgedRecord.all)
    func validatorAlone(_ judged: JudgedRecord) {
        for cut in 0...judged.bytes.count {
            var verdict: MalformedRecord?
            do throws(MalformedRecord) {
                var validator = RecordValidator(length: judged.bytes.count)
                try [UInt8](judged.bytes[..<cut]).withBytes { (part) throws(MalformedRecord) in
                    try validator.consume(part)
                }
                try [UInt8](judged.bytes[cut...]).withBytes { (part) throws(MalformedRecord) in
                    try validator.consume(part)
                }
                try validator.finish()
            } catch {
                verdict = error
            }
            #expect(verdict == judged.verdict, "cut at \(cut)")
        }
    }

    /// protoc agrees on what is legal and what is not. It is asked for the server's type.
    @Test func protocAgrees() throws {
        for judged in JudgedRecord.all {
            // protoc drops excess bits of a varint and takes a field of the wrong type for an unknown one: there we are
            // as strict as the Go servers, which refuse both. Its tags have 5 bytes at most.
            switch judged.verdict {
            case .fieldType where !judged.name.contains("group"), .varintTooLong: continue
            case nil where judged.name == "tag of ten bytes": continue
            default: break
            }
            let accepted = try Protoc.decode("EncodedRecord", judged.bytes) != nil
            if case .fieldType = judged.verdict, accepted { continue }
            #expect(accepted == (judged.verdict == nil), "\(judged.name)")
        }
    }

    @Test func everyReasonIsExplained() {
        var texts: Set<String> = []
        let reasons: [MalformedRecord] = [
            .fieldNumber, .wireType(6), .unbalancedGroup, .groupsTooDeep, .varintTooLong, .fieldType(field: 3),
            .pastTheEnd,
        ]
        for reason in reasons { texts.insert(reason.description) }
        #expect(texts.count == reasons.count)
        #expect(MalformedRecord.wireType(7).description.contains("7"))
        #expect(MalformedRecord.groupsTooDeep.description.contains("100"))
    }

    @Test func malformedFramesAreCountedAndLeftOut() throws {
        var splicing = Splicing(messageSize: 100)
        let bad = JudgedRecord.malformed.map(\.bytes)
        var records: [[UInt8]] = []
        for (index, record) in bad.enumerated() { records += [record, try Frames.record(size: 10 + index)] }
        let good = stride(from: 1, to: records.count, by: 2).map { records[$0] }
        try splicing.read(Frames.stream(records)[...])
        #expect(splicing.splicer.malformed == UInt64(bad.count) && splicing.splicer.accepted == UInt64(bad.count))
        #expect(try splicing.records() == good)
        #expect(splicing.batches.reduce(0) { $0 + $1.count } == bad.count)
        #expect(splicing.batches.allSatisfy { $0.bytes.count <= 100 })
    }

    /// Mutations of good records: the way of whole frames, the way of frames in pieces, and a parser of the result that
    /// knows nothing of either come to the same.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func bothWaysAgree(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var seen = (good: 0, bad: 0)
        for round in 0..<1000 {
            let record = Self.mutated(&random)
            let bytes = Frames.stream([Self.before, record, Self.after])
            let comment: Comment = "seed \(seed), round \(round): \(record)"

            var whole = Splicing()
            try whole.read(bytes[...])
            var pieces = Splicing()
            let start = 4 + Self.before.count
            let cuts = (0..<random.int(1...4)).map { _ in random.int(start...(start + 4 + record.count)) }.sorted()
            try pieces.read(bytes, cuts: random.oneIn(10) ? [Int](1..<bytes.count) : cuts)

            #expect(whole.splicer.accepted == pieces.splicer.accepted, comment)
            #expect(whole.splicer.malformed == pieces.splicer.malformed, comment)
            #expect(whole.splicer.lastMalformed == pieces.splicer.lastMalformed, comment)
            #expect(whole.messages().flatMap { $0 } == pieces.messages().flatMap { $0 }, comment)

            var writer = WireWriter()
            writer.element(1, record)
            let message = try? PackagedData(decoding: writer.bytes).records.first
            #expect((message != nil) == (whole.splicer.malformed == 0), comment)
            let records = try whole.records()
            #expect(records.first == Self.before && records.last == Self.after, comment)
            if message == nil { seen.bad += 1 } else { seen.good += 1 }
        }
        #expect(seen.good > 100 && seen.bad > 100, "seed \(seed): \(seen)")
    }

    static func mutated(_ random: inout SeededRandom) -> [UInt8] {
        var record = JudgedRecord.all[random.int(0...(JudgedRecord.all.count - 1))].bytes
        if record.count > 60 { record.removeSubrange(30..<(record.count - 5)) }
        let interesting: [UInt8] = [0x00, 0x01, 0x08, 0x10, 0x1a, 0x23, 0x24, 0x7f, 0x80, 0xff, 0x0d, 0x11, 0x22, 0x0e]
        for _ in 0..<random.int(0...3) {
            let byte =
                random.oneIn(2) ? interesting[random.int(0...(interesting.count - 1))] : UInt8(random.int(0...255))
            let at = random.int(0...record.count)
            switch random.int(0...3) {
            case 0: record.insert(byte, at: at)
            case 1 where at < record.count: record[at] = byte
            case 2 where at < record.count: record.remove(at: at)
            default:
                let other = JudgedRecord.all[random.int(0...(JudgedRecord.all.count - 1))].bytes
                if other.count <= 30 { record += other }
            }
        }
        return record
    }
}
