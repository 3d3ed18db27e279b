// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct ZstdTests {
    /// A frame with nothing in it: no checksum, a window of 1 KiB, one empty raw block.
    static let emptyFrame = hex("28b52ffd 00 00 010000")
    static let skippableFrame = hex("502a4d18 03000000 010203")

    /// Written by klauspost/compress at its default level.
    static let goVectors = [
        Vector(
            name: "short",
            message: Sample.text.bytes(200),
            stream: hex(
                "28b52ffd0400ed00004401656c6b656964206167656e74207265636f726420015412042b6217aa40dc7d"
            )
        ),
        Vector(
            name: "window of 8 MiB",
            message: Sample.text.bytes(140_000),
            stream: hex(
                "28b52ffd0468f400004401656c6b656964206167656e74207265636f7264200154120434d2ff2f55"
                    + "0000000154001031dde2fe3f86d95d8c"
            )
        ),
        Vector(
            name: "size given",
            message: Sample.zeros.bytes(70_000),
            stream: hex("28b52ffda470110100550000080001540102346c1104f865eb5e")
        ),
    ]

    @Test(arguments: goVectors) func readsGos(_ vector: Vector) throws {
        #expect(try Decompressor(.zstd).run(vector.stream) == vector.message)
        #expect(try Decompressor(.zstd).run(vector.stream, piece: 1, room: 100) == vector.message)
    }

    @Test(arguments: [10, 100_000]) func contentHasAChecksum(_ size: Int) throws {
        let stream = try Compressor(.zstd).run(Sample.text.bytes(size))
        // RFC 8878, section 3.1.1.1.1: bit 2 of the frame header descriptor.
        #expect(stream[4] & 0b100 != 0)
        var damaged = stream
        damaged[stream.count - 1] ^= 1
        #expect(try Decompressor(.zstd).failure(damaged) == .checksumMismatch)
    }

    @Test(arguments: [1, 5, Int.max]) func framesAreJoined(_ piece: Int) throws {
        let first = Sample.text.bytes(1000)
        let second = Sample.random.bytes(500)
        let parts = try [
            Self.skippableFrame, compress(.zstd, first), Self.emptyFrame, Self.skippableFrame,
            compress(.zstd, second), Self.skippableFrame,
        ]
        #expect(try Decompressor(.zstd).run(Array(parts.joined()), piece: piece) == first + second)
    }

    @Test(arguments: [[], emptyFrame, skippableFrame, emptyFrame + emptyFrame]) func empty(_ stream: [UInt8]) throws {
        #expect(try Decompressor(.zstd).run(stream) == [])
    }

    /// Byte 5 is the window descriptor: exponent in five bits, mantissa in three (RFC 8878, section 3.1.1.1.2).
    static let windows = [
        Body("8 MiB", hex("28b52ffd 00 68 010000"), nil),
        Body("9 MiB", hex("28b52ffd 00 69 010000"), .windowTooLarge),
        Body("16 MiB", hex("28b52ffd 00 70 010000"), .windowTooLarge),
        Body("2 GiB", hex("28b52ffd 00 a8 010000"), .windowTooLarge),
        Body("the largest", hex("28b52ffd 00 ff 010000"), .windowTooLarge),
        Body("a single segment of 1 TiB", hex("28b52ffd e0 0000000000010000 010000"), .windowTooLarge),
    ]

    static let refused = [
        Body("needs a dictionary", hex("28b52ffd 01 00 07 010000"), .unsupported),
        Body("reserved bit", hex("28b52ffd 08 00 010000"), .unsupported),
        Body("reserved block type", hex("28b52ffd 00 00 070000"), .malformed),
        Body("3 bytes where 5 are promised", hex("28b52ffd 20 05 1b0000 61"), .malformed),
        Body("text after a frame", emptyFrame + Array("garbage".utf8), .malformed),
        Body("part of a frame after a frame", emptyFrame + hex("28b52f"), .truncated),
        Body("part of a skippable frame", skippableFrame.dropLast(), .truncated),
        Body("other magic number", hex("28b52ffe"), .malformed),
        Body("one before the skippable magic numbers", hex("4f2a4d18 00000000"), .malformed),
        Body("one after them", hex("602a4d18 00000000"), .malformed),
    ]

    @Test(arguments: windows + refused) func refuses(_ body: Body) throws {
        let decompressor = Decompressor(.zstd)
        #expect(try decompressor.failure(body.stream) == body.reason)
        #expect(try decompressor.failure(body.stream, piece: 1) == body.reason)
    }

    /// The formats before 1.0, which a libzstd may be built to read.
    @Test(arguments: UInt8(0x1E)...0x27) func oldFormatsAreRefused(_ version: UInt8) throws {
        let stream = [version] + hex("b52ffd 00 00 00 00 c00000 00000000")
        #expect(try Decompressor(.zstd).failure(stream) == .malformed)
        #expect(try Decompressor(.zstd).failure(Self.emptyFrame + stream) == .malformed)
        #expect(try Decompressor(.zstd).failure(stream, piece: 1) == .malformed)
    }

    /// The caller may have no room for a while.
    @Test func waitsForRoom() throws {
        let message = Sample.text.bytes(300_000)
        let packed = try compress(.zstd, message)
        let decompressor = Decompressor(.zstd)
        var offset = 0
        for _ in 0..<100 {
            let (result, _) = try decompressor.step(packed[offset...], isLast: true, room: 0)
            offset += result.consumed
            #expect(result.needsOutput)
        }
        #expect(try decompressor.run(Array(packed[offset...])) == message)
    }
}
