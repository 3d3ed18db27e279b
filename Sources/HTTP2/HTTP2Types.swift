// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers
import CNGHTTP2

/// A header field. HTTP/2 names are lower-case (RFC 9113 section 8.2).
public struct HTTP2Header: Equatable, Sendable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The connection cannot go on: the peer broke the protocol, or our library refused a call.
public struct HTTP2Error: Error, Equatable, Sendable, CustomStringConvertible {
    public let code: Int32
    public let detail: String

    init(_ code: Int32, _ detail: String = "") {
        self.code = code
        self.detail = detail
    }

    public var description: String {
        let text = unsafe String(cString: nghttp2_strerror(code))
        return detail.isEmpty ? "HTTP/2: \(text)" : "HTTP/2: \(text) (\(detail))"
    }
}

/// Error codes of RST_STREAM and GOAWAY (RFC 9113 section 7).
public struct HTTP2ErrorCode: RawRepresentable, Equatable, Sendable, CustomStringConvertible {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let noError = HTTP2ErrorCode(rawValue: 0)
    public static let internalError = HTTP2ErrorCode(rawValue: 2)
    public static let refusedStream = HTTP2ErrorCode(rawValue: 7)
    public static let cancel = HTTP2ErrorCode(rawValue: 8)
    public static let enhanceYourCalm = HTTP2ErrorCode(rawValue: 11)

    public var description: String { unsafe String(cString: nghttp2_http2_strerror(rawValue)) }
}

/// Takes the frames of a session. `writeData` must send `header` and the first `length` bytes of `payload` as one
/// run, and drop those bytes from the chain.
public protocol FrameSink: AnyObject {
    /// Is there room for another frame of the largest size?
    var hasRoom: Bool { get }
    /// At most one more control frame comes after `hasRoom` has become false; ours are far below 16 KiB.
    func writeControl(_ frames: RawSpan)
    func writeData(header: RawSpan, payload: inout BufferChain, length: Int)
}

/// What a session tells its owner, from within `feed` (and `streamClosed` also from `drain`).
///
/// An implementation may submit, append and reset, but must not call `feed` or `drain` of the same session.
public protocol HTTP2Handler: AnyObject {
    /// Headers or trailers; `end` when the peer will send no more on this stream.
    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool)
    /// Body bytes, valid during the call. Give their window back by `HTTP2Session.consume`.
    func data(_ bytes: RawSpan, on stream: HTTP2Stream)
    /// END_STREAM of the peer after data.
    func ended(_ stream: HTTP2Stream)
    /// The stream is over, by END_STREAM of both or a reset.
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode)
    func settingsReceived()
    /// A PING of ours was framed, behind the DATA framed before it.
    func pingFramed(_ payload: UInt64)
    func pingAcknowledged(_ payload: UInt64)
    /// RST_STREAM, also on a stream that has been closed already.
    func resetReceived(on stream: Int32)
    func windowUpdate(on stream: Int32, increment: Int)
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String)
}

extension HTTP2Handler {
    public func pingFramed(_ payload: UInt64) {}
    public func resetReceived(on stream: Int32) {}
}

/// One stream's outgoing half: a chain that DATA frames are cut from, and its end.
public final class HTTP2Stream {
    public let id: Int32
    unowned let session: HTTP2Session
    /// Bytes waiting to be framed.
    var pending = BufferChain()
    /// Has the end been asked for, and with which trailers?
    var finished = false
    var trailers: [HTTP2Header] = []
    var deferred = false
    private var wasReset = false
    /// Headers being received.
    var incoming: [HTTP2Header] = []
    /// Bytes that went into DATA frames so far: the stream offset of the next frame.
    public internal(set) var framedBytes: UInt64 = 0
    /// Has the end of our half been framed?
    public internal(set) var hasSentEnd = false
    public internal(set) var isClosed = false
    /// For the owner's own use.
    public var context: AnyObject?

    init(id: Int32, session: HTTP2Session) {
        self.id = id
        self.session = session
    }

    public var pendingBytes: Int { pending.count }

    /// Queues bytes behind those waiting; they are shared, not copied.
    public func append(_ bytes: borrowing BufferChain) {
        precondition(!finished, "appending to a stream whose end was announced")
        pending.append(bytes)
        session.resume(self)
    }

    /// Queues one segment behind what is waiting.
    public func append(_ bytes: Segment) {
        precondition(!finished, "appending to a stream whose end was announced")
        pending.append(bytes)
        session.resume(self)
    }

    /// Ends our half after what is pending, for a server with `trailers`.
    public func finish(trailers: [HTTP2Header] = []) {
        guard !finished else { return }
        finished = true
        self.trailers = trailers
        session.resume(self)
    }

    /// RST_STREAM, once. Before the request was sent, it is then not sent at all.
    public func reset(_ code: HTTP2ErrorCode = .cancel) {
        // nghttp2 takes a request that waits out of its queue; a second time it would reset a stream that never was.
        guard !wasReset else { return }
        wasReset = true
        session.reset(self, code)
    }
}
