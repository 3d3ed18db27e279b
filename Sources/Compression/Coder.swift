// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One direction of one coding, behind ``Compressor`` and ``Decompressor``.
///
/// A coder runs until its input or its room is used up; the caller bounds both. It is not called again after it has
/// finished or thrown, except for `reset`.
protocol Coder: AnyObject {
    /// Returns to the state before the first byte.
    func reset()

    /// Takes from the start of `input` and writes to the start of `output`.
    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress
}

/// What one call of ``Coder/step(_:isLast:into:)`` did; the fields of ``StepResult`` and the bytes written.
struct CoderProgress {
    var consumed: Int
    var produced: Int
    var needsOutput: Bool
    var finished: Bool
}

/// Bounds each step, and keeps what all coders have in common: the state after the end and after an error.
struct StepDriver {
    let coding: ContentCoding
    private let coder: any Coder
    private let outputLimit: Int
    private var finished = false
    private var failure: CompressionError?

    /// `outputLimit` is the most that one step writes, in bytes.
    init(coding: ContentCoding, coder: any Coder, outputLimit: Int) {
        self.coding = coding
        self.coder = coder
        self.outputLimit = outputLimit
    }

    mutating func reset() {
        coder.reset()
        finished = false
        failure = nil
    }

    mutating func step(
        _ input: RawSpan,
        isLast: Bool,
        into output: inout OutputRawSpan
    ) throws(CompressionError) -> StepResult {
        if let failure { throw failure }
        if finished {
            precondition(input.isEmpty, "input after the end of a message: reset() was not called")
            return StepResult(consumed: 0, needsOutput: false, finished: true)
        }
        do {
            let progress = try advance(input, isLast: isLast, into: &output)
            finished = progress.finished
            return StepResult(
                consumed: progress.consumed,
                needsOutput: progress.needsOutput,
                finished: progress.finished
            )
        } catch {
            let failure = CompressionError(error, coding: coding)
            self.failure = failure
            throw failure
        }
    }

    private func advance(
        _ input: RawSpan,
        isLast: Bool,
        into output: inout OutputRawSpan
    ) throws(CompressionError.Reason) -> CoderProgress {
        let taken = input.extracting(first: Compressor.maximumStep)
        let endsHere = isLast && taken.byteCount == input.byteCount
        return try unsafe taken.withUnsafeBytes { source throws(CompressionError.Reason) in
            try unsafe output.withUnsafeMutableBytes { target, count throws(CompressionError.Reason) in
                let end = count + min(target.count - count, outputLimit)
                let room = unsafe UnsafeMutableRawBufferPointer(rebasing: target[count..<end])
                let progress = try unsafe coder.step(source, isLast: endsHere, into: room)
                count += progress.produced
                return progress
            }
        }
    }
}
