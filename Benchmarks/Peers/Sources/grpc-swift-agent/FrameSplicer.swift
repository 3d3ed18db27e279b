// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Makes fields of `PackagedData` of frames: the four bytes of length become a tag and a varint.
enum FrameSplicer {
    /// Longer records are taken for a lost stream.
    static let longestRecord = 8 << 20
    /// The length in front of each record, little-endian.
    static let prefixSize = 4

    enum Stop {
        /// The input ends here, or inside of a frame.
        case inputUsedUp
        case outputFull
    }

    struct Outcome {
        var consumed = 0
        var written = 0
        var stop = Stop.inputUsedUp
    }

    /// Ends the process when the record is too long.
    static func length(at offset: Int, of input: UnsafeRawBufferPointer) -> UInt32 {
        let length = UInt32(littleEndian: input.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        if length > longestRecord { fail("a frame announces \(length) bytes") }
        return length
    }

    /// Copies whole frames, as many as there are and as fit.
    static func splice(_ input: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) -> Outcome {
        var outcome = Outcome()
        while input.count - outcome.consumed >= prefixSize {
            let length = length(at: outcome.consumed, of: input)
            let start = outcome.consumed + prefixSize
            guard input.count - start >= Int(length) else { break }
            guard output.count - outcome.written >= 1 + Varint.size(of: length) + Int(length) else {
                outcome.stop = .outputFull
                break
            }
            output[outcome.written] = PackagedData.recordTag
            outcome.written += 1
            outcome.written += Varint.write(length, to: output, at: outcome.written)
            let end = start + Int(length)
            UnsafeMutableRawBufferPointer(rebasing: output[outcome.written...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: input[start..<end]))
            outcome.written += Int(length)
            outcome.consumed = end
        }
        return outcome
    }
}
