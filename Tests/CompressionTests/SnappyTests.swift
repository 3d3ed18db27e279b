// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct SnappyTests {
    /// A chunk with "a" in it, not compressed, as golang/snappy writes it.
    static let chunk = hex("01050000 786ee428 61")
    static let start = snappyIdentifier

    /// Written by golang/snappy's buffered writer.
    static let goVectors = [
        Vector(name: "one byte", message: Array("a".utf8), stream: hex("ff060000734e6150705901050000786ee42861")),
        Vector(
            name: "uncompressed",
            message: Sample.random.bytes(40),
            stream: hex(
                "ff060000734e61507059012c0000946edbda3c5e81b40c5ec68e04a3406c97d63cfbdc53ae88371a"
                    + "125121b5956143c0ee2d55fb638c77fee0b6"
            )
        ),
        Vector(
            name: "compressed",
            message: Sample.text.bytes(200),
            stream: hex(
                "ff060000734e6150705900240000b7c375d6c8014c656c6b656964206167656e74207265636f7264"
                    + "20fe1400fe1400ce1400"
            )
        ),
    ]

    @Test(arguments: goVectors) func agreesWithGo(_ vector: Vector) throws {
        #expect(try Decompressor(.snappy).run(vector.stream) == vector.message)
        #expect(try Compressor(.snappy).run(vector.message) == vector.stream)
    }

    /// golang/snappy's output for 65,537 random bytes has this size, start and end.
    @Test(arguments: [Int.max, 1, 1000]) func blocksEndWhereGosDo(_ piece: Int) throws {
        let stream = try Compressor(.snappy).run(Sample.random.bytes(65_537), piece: piece)
        #expect(stream.count == 65_563)
        #expect(stream.starts(with: hex("ff060000734e6150705901040001ad1c3d033c5e81b40c5e")))
        #expect(stream.suffix(16) == hex("1e2a17d3f0a5380105000095c96231ef")[...])
    }

    /// Like golang/snappy: the 60 zeros would save 5 bytes in a hundred, an eighth is wanted.
    @Test func smallGainIsNotTaken() throws {
        let message = Sample.random.bytes(900) + Sample.zeros.bytes(60)
        let stream = try Compressor(.snappy).run(message)
        #expect(stream[10] == 0x01)
        #expect(stream.dropFirst(18) == message[...])
    }

    @Test func emptyMessageIsTheIdentifierAlone() throws {
        #expect(try Compressor(.snappy).run([]) == snappyIdentifier)
    }

    static let accepted = [
        Body("nothing before the data", start + chunk),
        Body("identifier again", start + start + chunk + start),
        Body("padding", start + snappyChunk(0xFE, [1, 2, 3]) + chunk),
        Body("empty padding", start + chunk + snappyChunk(0xFE, [])),
        Body("first skippable type", start + snappyChunk(0x80, [0]) + chunk),
        Body("last skippable type", start + snappyChunk(0xFD, [0]) + chunk),
        Body("long skippable chunk", start + snappyChunk(0x99, Sample.random.bytes(300_000)) + chunk),
        Body("empty uncompressed chunk", start + hex("01040000 d8ea82a2") + chunk),
        Body("empty compressed chunk", start + hex("00050000 d8ea82a2 00") + chunk),
    ]

    @Test(arguments: accepted) func accepts(_ body: Body) throws {
        for piece in [1, 3, .max] {
            #expect(try Decompressor(.snappy).run(body.stream, piece: piece) == Array("a".utf8))
        }
    }

    static let refused = [
        Body("no identifier", chunk, .malformed),
        Body("padding first", snappyChunk(0xFE, [0]) + start + chunk, .malformed),
        Body("other identifier", snappyChunk(0xFF, Array("sNaPpX".utf8)), .malformed),
        Body("short identifier", snappyChunk(0xFF, Array("sNaPp".utf8)), .malformed),
        Body("long identifier", snappyChunk(0xFF, Array("sNaPpYY".utf8)), .malformed),
        Body("second identifier wrong", start + snappyChunk(0xFF, Array("sNaPpX".utf8)), .malformed),
        Body("first reserved type", start + snappyChunk(0x02, [0]) + chunk, .unsupported),
        Body("last reserved type", start + snappyChunk(0x7F, []) + chunk, .unsupported),
        Body("uncompressed, short checksum", start + snappyChunk(0x01, [1, 2, 3]), .malformed),
        Body("compressed, no checksum", start + snappyChunk(0x00, []), .malformed),
        Body("compressed, no length", start + hex("00040000 d8ea82a2"), .malformed),
        Body("wrong checksum", start + hex("01050000 786ee429 61"), .checksumMismatch),
        Body("uncompressed body too large", start + snappyChunk(0x01, Sample.zeros.bytes(65_541)), .malformed),
        Body("compressed body too large", start + snappyChunk(0x00, Sample.zeros.bytes(76_495)), .malformed),
        Body("block of 65,537", start + snappyChunk(0x00, hex("00000000 818004 0061")), .malformed),
        Body("block of 4 GiB", start + snappyChunk(0x00, hex("00000000 ffffffff0f 0061")), .malformed),
        Body("length without end", start + snappyChunk(0x00, hex("00000000 ffffffffff7f")), .malformed),
        Body("more data than said", start + hex("00080000 786ee428 01 04 6161"), .malformed),
        Body("less data than said", start + hex("00070000 786ee428 02 00 61"), .malformed),
        Body("copy from before the start", start + hex("00080000 786ee428 04 01 01 00"), .malformed),
    ]

    @Test(arguments: refused) func refuses(_ body: Body) throws {
        let decompressor = Decompressor(.snappy)
        #expect(try decompressor.failure(body.stream) == body.reason)
        #expect(try decompressor.failure(body.stream, piece: 1) == body.reason)
    }

    /// A chunk with a wrong checksum leaves nothing behind, while those before it are there.
    @Test func badChunkIsNotAppended() throws {
        let stream = snappyIdentifier + Self.chunk + hex("01050000 786ee429 62")
        let decompressor = Decompressor(.snappy)
        let good = snappyIdentifier.count + Self.chunk.count
        let (result, written) = try decompressor.step(stream[..<good], isLast: false, room: 10)
        #expect(result.consumed == good)
        #expect(written == Array("a".utf8))
        #expect(throws: CompressionError(.checksumMismatch, coding: .snappy)) {
            try decompressor.step(stream[good...], isLast: true, room: 10)
        }
    }
}
