// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How a gRPC message body is compressed. The raw values are the names used in `grpc-encoding` and
/// `grpc-accept-encoding`.
public enum ContentCoding: String, Sendable, CaseIterable {
    /// Not compressed.
    case identity
    /// Snappy's framing format with its stream identifier, not the bare block format.
    case snappy
    /// One or more RFC 1952 members.
    case gzip
    /// One or more RFC 8878 frames.
    case zstd

    /// The coding that `grpc-encoding` calls by this name, or nil if it is none of these. Names are lower case.
    public init?(grpcName: String) {
        self.init(rawValue: grpcName)
    }

    /// The name of this coding in `grpc-encoding`.
    public var grpcName: String { rawValue }
}
