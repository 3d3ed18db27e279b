// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

/// What the two directions have in common.
protocol Stepping: AnyObject {
    func reset()
    func step(
        _ input: RawSpan,
        isLast: Bool,
        into output: inout OutputRawSpan
    ) throws(CompressionError) -> StepResult
}

extension Compressor: Stepping {}
extension Decompressor: Stepping {}

/// A caller of `step` that was led astray.
enum Misled: Error {
    case stalled
    case tookTooMuch
    case leftInputForNoReason
    case exceeded(limit: Int)
}

extension Stepping {
    /// One step, the output as an array.
    func step(_ input: ArraySlice<UInt8>, isLast: Bool, room: Int) throws(CompressionError) -> (StepResult, [UInt8]) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
        defer { unsafe memory.deallocate() }
        var output = unsafe OutputRawSpan(buffer: memory, initializedCount: 0)
        let result = try unsafe step(input.span.bytes, isLast: isLast, into: &output)
        let written = unsafe output.finalize(for: memory)
        return unsafe (result, Array(memory[..<written]))
    }

    /// Takes a whole message through, `piece` bytes of input and `room` bytes of output at a time, and checks on the
    /// way what the documentation promises to a caller.
    func run(
        _ input: [UInt8],
        piece: Int = .max,
        room: Int = 64 << 10,
        limit: Int = .max
    ) throws -> [UInt8] {
        var output: [UInt8] = []
        var offset = 0
        var idleSteps = 0
        while true {
            let end = piece < input.count - offset ? offset + piece : input.count
            let (result, written) = try step(input[offset..<end], isLast: end == input.count, room: room)
            guard result.consumed <= Compressor.maximumStep else { throw Misled.tookTooMuch }
            let takenWhole = result.consumed == min(end - offset, Compressor.maximumStep)
            guard takenWhole || result.needsOutput else { throw Misled.leftInputForNoReason }
            offset += result.consumed
            output += written
            guard output.count <= limit else { throw Misled.exceeded(limit: limit) }
            if result.finished {
                #expect(offset == input.count)
                return output
            }
            idleSteps = result.consumed == 0 && written.isEmpty ? idleSteps + 1 : 0
            guard idleSteps < 2 else { throw Misled.stalled }
        }
    }

    /// The reason of the error that the message ends with, or nil.
    func failure(_ input: [UInt8], piece: Int = .max) throws -> CompressionError.Reason? {
        reset()
        do {
            _ = try run(input, piece: piece)
            return nil
        } catch let error as CompressionError {
            return error.reason
        }
    }
}

func compress(_ coding: ContentCoding, _ input: [UInt8]) throws -> [UInt8] {
    try Compressor(coding).run(input)
}
