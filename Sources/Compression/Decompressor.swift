// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Decompresses one message after another in bounded steps, for a loop that may not block. The input is not trusted.
///
/// The size of the result is the caller's to limit: a call never writes more than there is room for, so a small input
/// that would expand to gigabytes stops where the caller stops giving room. An object is neither thread-safe nor
/// Sendable: it belongs to the loop that made it.
///
/// - An empty body is an empty message in identity, snappy and zstd, as the Go libraries write it; gzip always has a
///   header.
/// - Snappy's format has no end mark: a body cut between two chunks is a shorter, valid one. The length prefix of the
///   gRPC message covers that.
public final class Decompressor {
    /// The most input that one call takes and the most output that it writes, in bytes.
    public static let maximumStep = 64 << 10

    /// The largest window a zstd frame may ask for, in bytes; it bounds the memory that a hostile frame can claim. RFC
    /// 8878, section 3.1.1.1.2, recommends this value.
    public static let maximumZstdWindow = 8 << 20

    private var driver: StepDriver

    /// Makes a decompressor for bodies of this coding.
    public init(_ coding: ContentCoding) {
        let coder: any Coder =
            switch coding {
            case .identity: IdentityCoder()
            case .snappy: SnappyDecoder()
            case .gzip: GzipDecoder()
            case .zstd: ZstdDecoder()
            }
        driver = StepDriver(coding: coding, coder: coder, outputLimit: Self.maximumStep)
    }

    /// What this object reads.
    public var coding: ContentCoding { driver.coding }

    /// Forgets the message at hand, finished or not, and any error. The working memory is kept.
    public func reset() {
        driver.reset()
    }

    /// Decompresses the next part of the body.
    ///
    /// What was appended by earlier calls is not proven good before `finished`: gzip and zstd have their checksum at
    /// the end. With no room at all the call still reads trailers, so that a caller whose buffer is exactly full can
    /// learn whether the message ended there.
    ///
    /// - Parameters:
    ///   - input: The bytes that follow those already consumed; not more than ``maximumStep`` of them are taken. May be
    ///     empty.
    ///   - isLast: The body ends with `input`. Then it must be given on each call until `finished`.
    ///   - output: Where decompressed bytes are appended, as far as there is room, at most ``maximumStep``.
    /// - Returns: What was taken, and what the caller has to do next.
    /// - Throws: ``CompressionError``, with `truncated` if the body ended too early; nothing is appended by that call,
    ///   and each further call throws the same error until ``reset()``.
    public func step(
        _ input: RawSpan,
        isLast: Bool,
        into output: inout OutputRawSpan
    ) throws(CompressionError) -> StepResult {
        try driver.step(input, isLast: isLast, into: &output)
    }
}
