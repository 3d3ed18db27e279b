// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Why a body could not be compressed or decompressed.
public struct CompressionError: Error, Equatable, Sendable {
    /// What went wrong.
    public enum Reason: Error, Equatable, Sendable {
        /// The input breaks the rules of its format.
        case malformed
        /// The decompressed bytes, their length or a header do not agree with the checksum sent along.
        case checksumMismatch
        /// The input ended before its format says it does.
        case truncated
        /// The input may be legal but needs what this decoder does not have: a reserved chunk type, a dictionary.
        case unsupported
        /// A zstd frame asks for a window above ``Decompressor/maximumZstdWindow``.
        case windowTooLarge
        /// The library could not allocate its working memory.
        case outOfMemory
        /// The library refused a call that ought to succeed.
        case libraryFailure
    }

    public var reason: Reason
    /// The coding that was being read or written.
    public var coding: ContentCoding

    public init(_ reason: Reason, coding: ContentCoding) {
        self.reason = reason
        self.coding = coding
    }
}

extension CompressionError: CustomStringConvertible {
    /// One line that names the coding and the cause, for a log.
    public var description: String {
        let cause =
            switch reason {
            case .malformed: "the data is malformed; the sender is broken or does not use this format"
            case .checksumMismatch: "the data does not match its checksum; it was damaged on the way"
            case .truncated: "the data ends too early; the message is incomplete"
            case .unsupported: "the data uses a feature of the format that is not supported"
            case .windowTooLarge: "the data needs a window larger than 8 MiB; lower the sender's compression level"
            case .outOfMemory: "no memory for the codec's working space"
            case .libraryFailure: "the compression library refused a valid call; check its version"
            }
        return "\(coding.grpcName): \(cause)"
    }
}
