// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct BadInputTests {
    static let compressing: [ContentCoding] = [.snappy, .gzip, .zstd]
    /// Incompressible data travels in stored blocks, the other in coded ones.
    static let samples: [Sample] = [.random, .text]

    @Test(arguments: compressing, samples)
    func everyDamagedByteIsNoticed(_ coding: ContentCoding, _ sample: Sample) throws {
        let message = sample.bytes(200)
        let packed = try compress(coding, message)
        let decompressor = Decompressor(coding)
        // The type of snappy's only data chunk has no checksum: 0x80...0xFE turn it into one to be skipped.
        let snappyType = snappyIdentifier.count
        var refused = 0
        for position in packed.indices {
            for value in UInt8.min...UInt8.max where value != packed[position] {
                var damaged = packed
                damaged[position] = value
                decompressor.reset()
                do {
                    let unpacked = try decompressor.run(damaged, limit: 10 << 20)
                    let isSkipped = coding == .snappy && position == snappyType && value >= 0x80
                    #expect(unpacked == (isSkipped ? [] : message), "byte \(position) = \(value)")
                } catch is CompressionError {
                    refused += 1
                }
            }
        }
        #expect(refused > packed.count * 100)
    }

    @Test(arguments: compressing, samples)
    func everyTruncationIsNoticed(_ coding: ContentCoding, _ sample: Sample) throws {
        let message = sample.bytes(200)
        let packed = try compress(coding, message)
        let decompressor = Decompressor(coding)
        for length in packed.indices {
            let isEmptyMessage =
                switch coding {
                case .snappy: length == 0 || length == snappyIdentifier.count
                case .zstd: length == 0
                case .gzip, .identity: false
                }
            for piece in [1, .max] {
                let failure = try decompressor.failure(Array(packed[..<length]), piece: piece)
                #expect(failure == (isEmptyMessage ? nil : .truncated), "\(length) bytes")
            }
        }
    }

    /// Noise where the format's header has been passed, so that the block decoders see it.
    @Test(
        arguments: [
            (.snappy, snappyIdentifier + [0x00, 0x3C, 0x00, 0x00, 0, 0, 0, 0, 0x80, 0x08]),
            (.gzip, hex("1f8b0800000000000003")),
            (.zstd, hex("28b52ffd 00 48 8501 00")),
        ] as [(ContentCoding, [UInt8])]
    )
    func noiseIsRefused(_ coding: ContentCoding, _ header: [UInt8]) throws {
        let decompressor = Decompressor(coding)
        let noise = Sample.random.bytes(20_000)
        for start in stride(from: 0, to: noise.count - 54, by: 9) {
            let failure = try decompressor.failure(header + noise[start..<start + 54])
            #expect(failure != nil, "noise from \(start)")
        }
    }

    @Test(arguments: compressing)
    func errorStaysUntilReset(_ coding: ContentCoding) throws {
        let good = try compress(coding, Sample.text.bytes(100))
        let decompressor = Decompressor(coding)
        let expected = CompressionError(.malformed, coding: coding)
        #expect(throws: expected) { try decompressor.run(Sample.text.bytes(100)) }
        #expect(throws: expected) { try decompressor.run(good) }
        decompressor.reset()
        #expect(try decompressor.run(good) == Sample.text.bytes(100))
    }

    /// However small the input that would expand, a call writes 64 KiB at most, and never past the caller's room.
    @Test(arguments: compressing)
    func bombEndsAtTheCallersLimit(_ coding: ContentCoding) throws {
        let size = 16 << 20
        let bomb = try compress(coding, Sample.zeros.bytes(size))
        #expect(bomb.count < size / 15)
        let decompressor = Decompressor(coding)
        let limit = 10 << 20
        #expect(throws: Misled.self) { try decompressor.run(bomb, limit: limit) }
        for room in [0, 1, 1000, 64 << 10, 1 << 20] {
            decompressor.reset()
            var offset = 0
            for _ in 0..<40 {
                let (result, written) = try decompressor.step(bomb[offset...], isLast: true, room: room)
                offset += result.consumed
                #expect(written.count <= min(room, Decompressor.maximumStep))
                #expect(result.needsOutput)
                #expect(!result.finished)
            }
        }
    }

    @Test func errorsSayWhatToDo() {
        #expect(
            CompressionError(.truncated, coding: .gzip).description
                == "gzip: the data ends too early; the message is incomplete"
        )
        #expect(
            CompressionError(.windowTooLarge, coding: .zstd).description
                == "zstd: the data needs a window larger than 8 MiB; lower the sender's compression level"
        )
    }
}
