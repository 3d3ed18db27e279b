// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct ZstdTests {
    /// A frame with nothing in it: no checksum, a window of 1 KiB, one empty raw block.
    static let emptyFrame = hex("28b52ffd 00 00 010000")
    static let skippableFrame = hex("502a4d18 03000000 010203")

    /// Written by klauspost/compress at its default level; the second asks for a window of 8 MiB.
    @Test(
        arguments: [
            (
                Sample.text.bytes(200),
                hex(
                    "28b52ffd0400ed00004401656c6b656964206167656e74207265636f726420015412042b6217aa40"
                        + "dc7d")
            ),
            (
                Sample.text.bytes(140_000),
                hex(
                    "28b52ffd0468f400004401656c6b656964206167656e74207265636f7264200154120434d2ff2f55"
                        + "0000000154001031dde2fe3f86d95d8c")
            ),
            (Sample.zeros.bytes(70_000), hex("28b52ffda470110100550000080001540102346c1104f865eb5e")),
        ] as [([UInt8], [UInt8])])
    func goVectors(_ message: [UInt8], _ stream: [UInt8]) throws {
        #expect(try Decompressor(.zstd).run(stream) == message)
        #expect(try Decompressor(.zstd).run(stream, piece: 1, room: 100) == message)
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
    @Test(
        arguments: [
            (hex("28b52ffd 00 68 010000"), nil),
            (hex("28b52ffd 00 69 010000"), .windowTooLarge),
            (hex("28b52ffd 00 70 010000"), .windowTooLarge),
            (hex("28b52ffd 00 a8 010000"), .windowTooLarge),
            (hex("28b52ffd 00 ff 010000"), .windowTooLarge),
            // A single segment, whose window is its content: 1 TiB.
            (hex("28b52ffd e0 0000000000010000 010000"), .windowTooLarge),
        ] as [([UInt8], CompressionError.Reason?)])
    func windowIsLimited(_ stream: [UInt8], _ reason: CompressionError.Reason?) throws {
        #expect(try Decompressor(.zstd).failure(stream) == reason)
        #expect(try Decompressor(.zstd).failure(stream, piece: 1) == reason)
    }

    @Test(
        arguments: [
            (hex("28b52ffd 01 00 07 010000"), .unsupported),  // needs dictionary 7
            (hex("28b52ffd 08 00 010000"), .unsupported),  // reserved bit
            (hex("28b52ffd 00 00 070000"), .malformed),  // reserved block type
            (hex("28b52ffd 20 05 1b0000 61"), .malformed),  // content size 5, three there
            (emptyFrame + Array("garbage".utf8), .malformed),
            (emptyFrame + hex("28b52f"), .truncated),
            (skippableFrame.dropLast(), .truncated),
            (hex("28b52ffe"), .malformed),
            (hex("4f2a4d18 00000000"), .malformed),
            (hex("602a4d18 00000000"), .malformed),
        ] as [([UInt8], CompressionError.Reason)])
    func refused(_ stream: [UInt8], _ reason: CompressionError.Reason) throws {
        let decompressor = Decompressor(.zstd)
        #expect(try decompressor.failure(stream) == reason)
        #expect(try decompressor.failure(stream, piece: 1) == reason)
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
