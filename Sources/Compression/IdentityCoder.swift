// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Copies, in both directions.
final class IdentityCoder: Coder {
    func reset() {}

    func step(
        _ input: UnsafeRawBufferPointer,
        isLast: Bool,
        into output: UnsafeMutableRawBufferPointer
    ) throws(CompressionError.Reason) -> CoderProgress {
        var source = unsafe InputCursor(input)
        var target = unsafe OutputCursor(output)
        unsafe target.write(source.take(min(source.remaining, target.room)))
        let left = source.remaining
        return CoderProgress(
            consumed: source.offset,
            produced: target.offset,
            needsOutput: left > 0,
            finished: isLast && left == 0
        )
    }
}
