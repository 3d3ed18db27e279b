// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Compresses one message after another in bounded steps, for a loop that may not block.
///
/// All working memory is allocated by `init` or during the first message and kept until `deinit`. An object is neither
/// thread-safe nor Sendable: it belongs to the loop that made it.
public final class Compressor {
    /// The most input that one call takes, in bytes.
    public static let maximumStep = 64 << 10

    private var driver: StepDriver

    /// Makes a compressor for bodies of this coding: gzip and zstd at level 1, zstd with a content checksum.
    public init(_ coding: ContentCoding) {
        let coder: any Coder =
            switch coding {
            case .identity: IdentityCoder()
            case .snappy: SnappyEncoder()
            case .gzip: GzipEncoder()
            case .zstd: ZstdEncoder()
            }
        driver = StepDriver(coding: coding, coder: coder, outputLimit: .max)
    }

    /// What this object writes.
    public var coding: ContentCoding { driver.coding }

    /// Forgets the message at hand, finished or not, and any error. The working memory is kept.
    public func reset() {
        driver.reset()
    }

    /// Compresses the next part of the message.
    ///
    /// - Parameters:
    ///   - input: The bytes that follow those already consumed; not more than ``maximumStep`` of them are taken. May be
    ///     empty.
    ///   - isLast: The message ends with `input`. Then it must be given on each call until `finished`.
    ///   - output: Where compressed bytes are appended, as far as there is room.
    /// - Returns: What was taken, and what the caller has to do next.
    /// - Throws: ``CompressionError``; the output is then unchanged, and each further call throws the same error until
    ///   ``reset()``.
    public func step(
        _ input: RawSpan,
        isLast: Bool,
        into output: inout OutputRawSpan
    ) throws(CompressionError) -> StepResult {
        try driver.step(input, isLast: isLast, into: &output)
    }
}
