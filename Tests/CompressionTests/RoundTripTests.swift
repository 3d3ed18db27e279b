// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct RoundTripTests {
    static let sizes = [0, 1, 2, 100, 65_535, 65_536, 65_537, 131_072, 200_000, 1 << 20]

    @Test(arguments: ContentCoding.allCases, Sample.allCases)
    func everySizeComesBack(_ coding: ContentCoding, _ sample: Sample) throws {
        let compressor = Compressor(coding)
        let decompressor = Decompressor(coding)
        for size in Self.sizes {
            let message = sample.bytes(size)
            compressor.reset()
            decompressor.reset()
            let packed = try compressor.run(message)
            #expect(try decompressor.run(packed) == message, "\(size) bytes")
            if coding != .identity, sample != .random, size >= 100 {
                #expect(packed.count < size, "\(size) bytes")
            }
        }
    }

    @Test(arguments: ContentCoding.allCases, [(1, 1), (1, 70_000), (70_000, 1), (7, 3), (40_000, 50_000)])
    func piecesComeBack(_ coding: ContentCoding, _ cut: (piece: Int, room: Int)) throws {
        let message = Sample.text.bytes(3000) + Sample.random.bytes(70_000) + Sample.zeros.bytes(3000)
        let packed = try Compressor(coding).run(message, piece: cut.piece, room: cut.room)
        #expect(try Decompressor(coding).run(packed) == message)
        #expect(try Decompressor(coding).run(compress(coding, message), piece: cut.piece, room: cut.room) == message)
    }

    /// The end may be known only after the last byte was given.
    @Test(arguments: ContentCoding.allCases, [0, 1, 65_536])
    func endMayComeLate(_ coding: ContentCoding, _ size: Int) throws {
        let message = Sample.random.bytes(size)
        let compressor = Compressor(coding)
        let (result, start) = try compressor.step(message[...], isLast: false, room: 1 << 20)
        #expect(result.consumed == size)
        #expect(!result.finished)
        let packed = try start + compressor.run([], room: 1 << 20)

        let decompressor = Decompressor(coding)
        var unpacked: [UInt8] = []
        var offset = 0
        while offset < packed.count {
            let (result, written) = try decompressor.step(packed[offset...], isLast: false, room: 1 << 20)
            #expect(!result.finished)
            offset += result.consumed
            unpacked += written
        }
        #expect(try unpacked + decompressor.run([]) == message)
    }

    /// A caller whose buffer holds exactly the message learns without more room that it ended there.
    @Test(arguments: ContentCoding.allCases, [1, 200, 65_536])
    func exactRoomIsEnough(_ coding: ContentCoding, _ size: Int) throws {
        let message = Sample.text.bytes(size)
        let packed = try compress(coding, message)
        let decompressor = Decompressor(coding)
        var offset = 0
        var room = size
        var unpacked: [UInt8] = []
        var finished = false
        for _ in 0..<100 where !finished {
            let (result, written) = try decompressor.step(packed[offset...], isLast: true, room: room)
            offset += result.consumed
            room -= written.count
            unpacked += written
            finished = result.finished
        }
        #expect(finished)
        #expect(unpacked == message)
    }

    @Test(arguments: ContentCoding.allCases)
    func resetForgetsWhatWasBegun(_ coding: ContentCoding) throws {
        let message = Sample.text.bytes(100_000)
        let packed = try compress(coding, message)
        let compressor = Compressor(coding)
        let decompressor = Decompressor(coding)
        for stop in [0, 1, 11, 4000] {
            let (began, _) = try compressor.step(Sample.random.bytes(stop)[...], isLast: false, room: 5)
            #expect(!began.finished)
            compressor.reset()
            #expect(try compressor.run(message) == packed)
            compressor.reset()

            _ = try decompressor.step(packed.prefix(stop), isLast: false, room: 5)
            decompressor.reset()
            #expect(try decompressor.run(packed) == message)
            decompressor.reset()
        }
    }

    @Test(arguments: ContentCoding.allCases)
    func nothingHappensAfterTheEnd(_ coding: ContentCoding) throws {
        let compressor = Compressor(coding)
        let packed = try compressor.run(Sample.text.bytes(10))
        let decompressor = Decompressor(coding)
        _ = try decompressor.run(packed)
        for codec in [compressor, decompressor] as [any Stepping] {
            let (result, written) = try codec.step([], isLast: true, room: 100)
            #expect(result == StepResult(consumed: 0, needsOutput: false, finished: true))
            #expect(written.isEmpty)
        }
    }

    @Test func outputIsAppended() throws {
        var memory = [UInt8](repeating: 0xEE, count: 8)
        let count = try unsafe memory.withUnsafeMutableBytes { buffer in
            var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 3)
            let input = Array("abc".utf8)
            let result = try unsafe Compressor(.identity).step(input.span.bytes, isLast: true, into: &output)
            #expect(result == StepResult(consumed: 3, needsOutput: false, finished: true))
            return unsafe output.finalize(for: buffer)
        }
        #expect(count == 6)
        #expect(memory == [0xEE, 0xEE, 0xEE, 0x61, 0x62, 0x63, 0xEE, 0xEE])
    }

    @Test func namesAreThoseOfGRPC() {
        #expect(ContentCoding.allCases.map(\.grpcName) == ["identity", "snappy", "gzip", "zstd"])
        #expect(ContentCoding.allCases.allSatisfy { ContentCoding(grpcName: $0.grpcName) == $0 })
        for name in ["", "deflate", "GZIP", "none"] {
            #expect(ContentCoding(grpcName: name) == nil)
        }
    }
}
