// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import TestSupport
import Testing

@Suite("Splice: what the original plugin library writes")
struct SpliceVectorTests {
    let stream: PluginStream

    init() throws {
        stream = try PluginStream.recorded.get()
    }

    /// Every record arrives byte for byte and in order, and every batch is a message of the right size.
    func check(_ splicing: inout Splicing, _ comment: Comment) throws {
        let messages = splicing.messages()
        var expected = stream.records.makeIterator()
        var total = 0
        for (message, batch) in zip(messages, splicing.batches) {
            let limit = splicing.splicer.messageSize
            #expect(batch.bytes.count == message.count && (message.count <= limit || batch.count == 1), comment)
            let decoded = try PackagedData(decoding: message).records
            #expect(decoded.count == batch.count, comment)
            for record in decoded {
                let next = expected.next()
                let original = try #require(next, comment)
                let same = areEqual(message[record.encoded], original)
                #expect(same, "record \(total): \(comment)")
                total += 1
            }
        }
        #expect(total == 268, comment)
        #expect(splicing.splicer.accepted == 268 && splicing.splicer.malformed == 0, comment)
        #expect(splicing.splicer.isAtFrameBoundary && splicing.splicer.partialBytes == 0, comment)
        #expect(splicing.splicer.openBytes == 0, comment)
    }

    @Test(arguments: [8 << 10, 64 << 10, 256 << 10, 16 << 20], [1, 1000, 256 << 10, 9 << 20])
    func wholeStream(_ slabSize: Int, _ messageSize: Int) throws {
        var splicing = Splicing(slabSize: slabSize, messageSize: messageSize)
        try splicing.read(stream.bytes[...])
        try check(&splicing, "slabs of \(slabSize), messages of \(messageSize)")
    }

    /// The fields that the server reads: the same values as in the plugin's record.
    @Test func fieldsAreEqual() throws {
        var splicing = Splicing(slabSize: 64 << 10)
        try splicing.read(stream.bytes[...])
        var at = 0
        for message in splicing.messages() {
            for record in try PackagedData(decoding: message).records {
                let original = [UInt8](stream.records[at])
                let decoded = try Record(decoding: original)
                #expect(record.dataType == decoded.dataType && record.timestamp == decoded.timestamp)
                #expect(try Payload(decoding: [UInt8](message[record.data])) == decoded.payload ?? Payload())
                at += 1
            }
        }
        #expect(at == 268)
    }

    /// Each small record, between its neighbours, cut at each of its bytes and of its length.
    @Test func everyCutOfTheSmallRecords() throws {
        var cuts = 0
        for (index, record) in stream.records.enumerated() where record.count <= PluginStream.smallRecord {
            let neighbours = (max(0, index - 1)...min(stream.records.count - 1, index + 1)).filter {
                stream.records[$0].count <= PluginStream.smallRecord
            }
            let expected = neighbours.map { [UInt8](stream.records[$0]) }
            let bytes = Frames.stream(expected)
            let before = neighbours[0] < index ? 4 + expected[0].count : 0
            var splicing = Splicing(slabSize: 8 << 10)
            for cut in before...(before + 4 + record.count) {
                splicing = Splicing(slabSize: 8 << 10)
                try splicing.read(bytes, cuts: [cut])
                let same = try splicing.records() == expected
                #expect(same, "record \(index) cut at \(cut - before)")
                cuts += 1
            }
            #expect(splicing.splicer.accepted == UInt64(expected.count) && splicing.splicer.malformed == 0)
        }
        #expect(cuts == 89_221 + 261, "261 records, at each byte of theirs and at the end")
    }

    @Test func oneByteAtATime() throws {
        let small = stream.records.filter { $0.count <= PluginStream.smallRecord }.map { [UInt8]($0) }
        let bytes = Frames.stream(small)
        var splicing = Splicing(slabSize: 8 << 10, messageSize: 3000)
        try splicing.read(bytes, cuts: [Int](1..<bytes.count))
        #expect(try splicing.records() == small)
        #expect(splicing.batches.allSatisfy { $0.bytes.count <= 3000 } && splicing.batches.count >= bytes.count / 3000)
    }

    /// The whole stream with its large records in reads of random sizes, from a few bytes to more than a pipe holds.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func randomCuts(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let slabSize = [8 << 10, 64 << 10, 256 << 10][random.int(0...2)]
        let messageSize = [4096, 64 << 10, 256 << 10, 1 << 20][random.int(0...3)]
        var splicing = Splicing(slabSize: slabSize, messageSize: messageSize)
        var at = 0
        while at < stream.bytes.count {
            let largest = [8, 700, 5000, 65_536, 1 << 20][random.int(0...4)]
            // Small reads are for where small records are; in the large ones they would only take time.
            let small = at < stream.starts[211] || at > stream.starts[218]
            let size = min(stream.bytes.count - at, random.int(1...(small ? largest : max(5000, largest))))
            try splicing.read(stream.bytes[at..<(at + size)])
            at += size
        }
        try check(&splicing, "seed \(seed), slabs of \(slabSize), messages of \(messageSize)")
    }

    /// The reference implementation reads what was spliced.
    @Test func protocReadsTheMessages() throws {
        let header = Samples.headers[1]
        var splicing = Splicing(slabSize: 8 << 10, messageSize: 64 << 10)
        let small = stream.records.filter { $0.count <= 20_000 }.map { [UInt8]($0) }
        try splicing.read(Frames.stream(small)[...])
        var records = 0
        for spliced in splicing.messages() {
            let message = header.encoded() + spliced
            var text = TextFormat()
            for record in try PackagedData(decoding: message).records {
                records += 1
                text.message("records") { text in
                    text.number("data_type", record.dataType)
                    text.number("timestamp", record.timestamp)
                    text.string("data", message[record.data])
                }
            }
            header.write(&text)
            let same = try Protoc.decode("PackagedData", message) == text.text
            #expect(same)
        }
        #expect(records == small.count)
    }
}
