// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What one call of ``Compressor/step(_:isLast:into:)`` or ``Decompressor/step(_:isLast:into:)`` did.
///
/// Until `finished`, the caller calls again: with the input that was not consumed, then with more of it, and with more
/// room whenever `needsOutput` is set and the output is full.
public struct StepResult: Equatable, Sendable {
    /// How many bytes of the input were taken, from its start; at most ``Compressor/maximumStep``.
    public var consumed: Int
    /// The call ended because it may not write more: the output is full, or this call wrote all that one call may.
    /// Bytes may be left inside, so call again before waiting for more input. The input need not grow for that.
    public var needsOutput: Bool
    /// All input was taken, `isLast` was given, and the last byte of output was written.
    public var finished: Bool

    public init(consumed: Int, needsOutput: Bool, finished: Bool) {
        self.consumed = consumed
        self.needsOutput = needsOutput
        self.finished = finished
    }
}
