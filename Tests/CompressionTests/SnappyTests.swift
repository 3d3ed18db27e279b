// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct SnappyTests {
    struct Case: Sendable {
        let name: String
        let stream: [UInt8]
    }

    /// A chunk with "a" in it, not compressed, as golang/snappy writes it.
    static let chunk = hex("01050000 786ee428 61")

    /// Written by golang/snappy's buffered writer.
    @Test(
        arguments: [
            (Array("a".utf8), hex("ff060000734e6150705901050000786ee42861")),
            (
                Sample.random.bytes(40),
                hex(
                    "ff060000734e61507059012c0000946edbda3c5e81b40c5ec68e04a3406c97d63cfbdc53ae88371a"
                        + "125121b5956143c0ee2d55fb638c77fee0b6")
            ),
            (
                Sample.text.bytes(200),
                hex(
                    "ff060000734e6150705900240000b7c375d6c8014c656c6b656964206167656e74207265636f7264"
                        + "20fe1400fe1400ce1400")
            ),
        ] as [([UInt8], [UInt8])])
    func goVectors(_ message: [UInt8], _ stream: [UInt8]) throws {
        #expect(try Decompressor(.snappy).run(stream) == message)
        #expect(try Compressor(.snappy).run(message) == stream)
    }

    /// golang/snappy's output for 65,537 random bytes has this size, start and end.
    @Test(arguments: [Int.max, 1, 1000]) func blocksEndWhereGosDo(_ piece: Int) throws {
        let stream = try Compressor(.snappy).run(Sample.random.bytes(65_537), piece: piece)
        #expect(stream.count == 65_563)
        #expect(stream.starts(with: hex("ff060000734e6150705901040001ad1c3d033c5e81b40c5e")))
        #expect(stream.suffix(16) == hex("1e2a17d3f0a5380105000095c96231ef")[...])
    }

    @Test func emptyMessageIsTheIdentifierAlone() throws {
        #expect(try Compressor(.snappy).run([]) == snappyIdentifier)
    }

    @Test(arguments: [
        Case(name: "nothing before the data", stream: snappyIdentifier + chunk),
        Case(name: "identifier again", stream: snappyIdentifier + snappyIdentifier + chunk + snappyIdentifier),
        Case(name: "padding", stream: snappyIdentifier + snappyChunk(0xFE, [1, 2, 3]) + chunk),
        Case(name: "empty padding", stream: snappyIdentifier + chunk + snappyChunk(0xFE, [])),
        Case(name: "first skippable type", stream: snappyIdentifier + snappyChunk(0x80, [0]) + chunk),
        Case(name: "last skippable type", stream: snappyIdentifier + snappyChunk(0xFD, [0]) + chunk),
        Case(
            name: "long skippable chunk",
            stream: snappyIdentifier + snappyChunk(0x99, [UInt8](repeating: 7, count: 300_000)) + chunk),
        Case(name: "empty uncompressed chunk", stream: snappyIdentifier + hex("01040000 d8ea82a2") + chunk),
        Case(name: "empty compressed chunk", stream: snappyIdentifier + hex("00050000 d8ea82a2 00") + chunk),
    ]) func accepted(_ stream: Case) throws {
        for piece in [1, 3, .max] {
            #expect(try Decompressor(.snappy).run(stream.stream, piece: piece) == Array("a".utf8))
        }
    }

    @Test(
        arguments: [
            (Case(name: "no identifier", stream: chunk), .malformed),
            (Case(name: "padding first", stream: snappyChunk(0xFE, [0]) + snappyIdentifier + chunk), .malformed),
            (Case(name: "other identifier", stream: snappyChunk(0xFF, Array("sNaPpX".utf8))), .malformed),
            (Case(name: "short identifier", stream: snappyChunk(0xFF, Array("sNaPp".utf8))), .malformed),
            (Case(name: "long identifier", stream: snappyChunk(0xFF, Array("sNaPpYY".utf8))), .malformed),
            (Case(name: "second identifier", stream: snappyIdentifier + hex("ff0600000000000000 00")), .malformed),
            (Case(name: "reserved type 2", stream: snappyIdentifier + snappyChunk(0x02, [0]) + chunk), .unsupported),
            (Case(name: "reserved type 127", stream: snappyIdentifier + snappyChunk(0x7F, []) + chunk), .unsupported),
            (Case(name: "no room for checksum", stream: snappyIdentifier + snappyChunk(0x01, [1, 2, 3])), .malformed),
            (Case(name: "compressed, no checksum", stream: snappyIdentifier + snappyChunk(0x00, [])), .malformed),
            (Case(name: "compressed, no length", stream: snappyIdentifier + hex("00040000 d8ea82a2")), .malformed),
            (Case(name: "wrong checksum", stream: snappyIdentifier + hex("01050000 786ee429 61")), .checksumMismatch),
            (
                Case(
                    name: "uncompressed block too large",
                    stream: snappyIdentifier + snappyChunk(0x01, [UInt8](repeating: 0, count: 65_541))), .malformed
            ),
            (
                Case(
                    name: "compressed body too large",
                    stream: snappyIdentifier + snappyChunk(0x00, [UInt8](repeating: 0, count: 76_495))), .malformed
            ),
            // The length before the data says 65,537.
            (
                Case(
                    name: "block too large", stream: snappyIdentifier + snappyChunk(0x00, hex("00000000 818004 0061"))),
                .malformed
            ),
            (
                Case(
                    name: "length overflow", stream: snappyIdentifier + snappyChunk(0x00, hex("00000000 ffffffff7f"))),
                .malformed
            ),
            // A literal of 2 bytes where the length says 1, and the reverse.
            (Case(name: "more data", stream: snappyIdentifier + hex("00080000 786ee428 01 04 6161")), .malformed),
            (Case(name: "less data", stream: snappyIdentifier + hex("00070000 786ee428 02 00 61")), .malformed),
            // A copy from before the start.
            (
                Case(name: "copy of nothing", stream: snappyIdentifier + hex("00080000 786ee428 04 01 01 00")),
                .malformed
            ),
        ] as [(Case, CompressionError.Reason)])
    func refused(_ stream: Case, _ reason: CompressionError.Reason) throws {
        let decompressor = Decompressor(.snappy)
        #expect(try decompressor.failure(stream.stream) == reason)
        #expect(try decompressor.failure(stream.stream, piece: 1) == reason)
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
