// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Compression
public import HTTP2

/// The client's side of one call, without the connection under it: which headers to send, and what the peer's
/// headers, trailers and resets mean (gRPC over HTTP2).
///
/// ```
/// waiting ──response headers──▶ open ──trailers, reset──▶ ended
///    └────────trailers only, reset, not gRPC──────────────▲
/// ```
public struct ClientCall: Sendable {
    private enum State: Sendable, Equatable {
        case waiting
        case open
        case ended
    }
    private var state = State.waiting
    /// How the server compresses its messages; identity until its headers say otherwise.
    public private(set) var responseCoding = ContentCoding.identity

    public enum Outcome: Equatable, Sendable {
        /// The server has taken the call.
        case accepted
        case ended(GRPCStatus)
        /// Nothing new, or something that the call can do without.
        case none
    }

    public init() {}

    public var isOpen: Bool { state == .open }
    public var hasEnded: Bool { state == .ended }

    /// Request headers of a call of `path` ("/package.Service/Method") at `authority` ("host:port").
    public static func requestHeaders(
        path: String,
        authority: String,
        coding: ContentCoding,
        userAgent: String
    ) -> [HTTP2Header] {
        var headers = [
            HTTP2Header(":method", "POST"), HTTP2Header(":scheme", "https"), HTTP2Header(":path", path),
            HTTP2Header(":authority", authority), HTTP2Header("te", "trailers"),
            HTTP2Header("content-type", "application/grpc"), HTTP2Header("user-agent", userAgent),
            HTTP2Header("grpc-accept-encoding", "identity,snappy,gzip,zstd"),
        ]
        if coding != .identity { headers.append(HTTP2Header("grpc-encoding", coding.grpcName)) }
        return headers
    }

    /// Headers or trailers arrived.
    public mutating func received(_ headers: [HTTP2Header], end: Bool) -> Outcome {
        switch state {
        case .ended: return .none
        case .open:
            guard end else { return .none }
            return finish(GRPCStatus(trailers: headers) ?? GRPCStatus(.internalError, "trailers without grpc-status"))
        case .waiting: break
        }
        let status = headers.first { $0.name == ":status" }?.value ?? "missing"
        // 1xx are informational: the real headers follow.
        if status.utf8.count == 3 && status.utf8.first == 0x31 { return .none }
        let contentType = headers.first { $0.name == "content-type" }?.value
        guard status == "200", contentType?.hasPrefix("application/grpc") == true else {
            return finish(GRPCStatus(trailers: headers) ?? GRPCStatus(http: status, contentType: contentType))
        }
        if end {
            return finish(GRPCStatus(trailers: headers) ?? GRPCStatus(.internalError, "no grpc-status in the answer"))
        }
        if let name = headers.first(where: { $0.name == "grpc-encoding" })?.value {
            guard let coding = ContentCoding(grpcName: name) else {
                return finish(GRPCStatus(.internalError, "the server compresses with \"\(name)\", which is unknown"))
            }
            responseCoding = coding
        }
        state = .open
        return .accepted
    }

    /// The server ended its half by a DATA frame, which gRPC servers never do: the status is missing.
    public mutating func receivedEnd() -> Outcome {
        state == .ended ? .none : finish(GRPCStatus(.internalError, "the stream ended without a status"))
    }

    /// The stream was reset, or the connection is gone.
    public mutating func closed(_ code: HTTP2ErrorCode) -> Outcome {
        state == .ended ? .none : finish(GRPCStatus(reset: code))
    }

    private mutating func finish(_ status: GRPCStatus) -> Outcome {
        state = .ended
        return .ended(status)
    }
}
