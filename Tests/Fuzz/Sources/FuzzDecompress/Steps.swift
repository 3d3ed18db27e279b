// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import FuzzSupport

/// What the two directions have in common.
protocol Stepping: AnyObject {
    func step(_ input: RawSpan, isLast: Bool, into output: inout OutputRawSpan) throws(CompressionError) -> StepResult
}

extension Compressor: Stepping {}
extension Decompressor: Stepping {}

struct StepsOutcome {
    enum End: Equatable {
        case finished
        case failed(CompressionError)
        /// More output than the fuzzer wants to wait for.
        case tooMuch
    }

    var output: [UInt8] = []
    var end = End.finished
}

/// Takes a whole message through, in steps of `sizes` or of the largest size.
func run(_ coder: some Stepping, _ input: [UInt8], _ sizes: Sizes?) -> StepsOutcome {
    let largestOutput = 1 << 20
    var sizes = sizes
    var outcome = StepsOutcome()
    var offset = 0
    var idle = 0
    while true {
        let piece = min(input.count - offset, sizes?.next() ?? .max)
        let room = min(Decompressor.maximumStep, sizes?.next(atLeast: 0) ?? .max)
        let isLast = offset + piece == input.count
        let result: StepResult
        let written: [UInt8]
        do throws(CompressionError) {
            (result, written) = try step(coder, input[offset..<(offset + piece)], isLast, room)
        } catch {
            expect(!error.description.isEmpty, "an error without a description")
            outcome.end = .failed(error)
            return outcome
        }
        expect(result.consumed <= min(piece, Compressor.maximumStep), "more taken than there was")
        expect(written.count <= room, "more written than there was room for")
        expect(!result.finished || (isLast && result.consumed == piece), "finished before the end of the input")
        expect(result.consumed == min(piece, Compressor.maximumStep) || result.needsOutput, "input left for no reason")
        offset += result.consumed
        outcome.output += written
        if result.finished { return outcome }
        if outcome.output.count > largestOutput {
            outcome.end = .tooMuch
            return outcome
        }
        idle = result.consumed == 0 && written.isEmpty && room > 0 ? idle + 1 : 0
        expect(idle < 3, "the coder does not get on")
    }
}

private func step(
    _ coder: some Stepping,
    _ input: ArraySlice<UInt8>,
    _ isLast: Bool,
    _ room: Int
) throws(CompressionError) -> (StepResult, [UInt8]) {
    // Room of the exact size on the heap, so that the sanitizer sees a byte too many.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 1)
    defer { unsafe memory.deallocate() }
    var output = unsafe OutputRawSpan(buffer: memory, initializedCount: 0)
    let result = try coder.step(unsafe input.span.bytes, isLast: isLast, into: &output)
    let written = unsafe output.finalize(for: memory)
    return unsafe (result, Array(memory[..<written]))
}
