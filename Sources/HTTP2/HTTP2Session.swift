// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import CNGHTTP2

/// One HTTP/2 connection (RFC 9113) over buffers, client or server: bytes in by `feed`, frames out by `drain`.
///
/// DATA payloads are never copied here: nghttp2 gives the 9-byte header and a length, and the sink sends that many
/// bytes of the stream's chain behind it.
@safe
public final class HTTP2Session {
    public enum Role: Sendable { case client, server }

    public struct Options: Sendable {
        /// Our receive window for each stream and for the connection, in bytes.
        public var window: Int
        /// Is the window given back as soon as bytes are delivered, or by `consume`?
        public var manualWindow: Bool
        public var maxConcurrentStreams: Int

        public init(window: Int, manualWindow: Bool = false, maxConcurrentStreams: Int = 100) {
            self.window = window
            self.manualWindow = manualWindow
            self.maxConcurrentStreams = maxConcurrentStreams
        }
    }

    /// Payload of a full DATA frame: with its 9-byte header it fills a TLS record.
    public static let fullFrame = 16384 - 9

    /// "1.52.0": of the library that is linked.
    public static var libraryVersion: String {
        guard let info = unsafe nghttp2_version(0) else { return "" }
        return unsafe String(cString: info.pointee.version_str)
    }

    public let role: Role
    private var session: OpaquePointer?
    unowned let handler: any HTTP2Handler
    private var streams: [Int32: HTTP2Stream] = [:]
    /// Only while it drains.
    private var sink: (any FrameSink)?
    /// What the library said of the last protocol error.
    var lastMessage = ""
    /// Why the library gave the connection up; the peer broke the protocol. It has been told by GOAWAY.
    private var failure: HTTP2Error?
    private var saidGoAway = false
    /// The last stream of the GOAWAY submitted last.
    private var lastAnnounced = Int32.max

    public init(role: Role, options: Options, handler: any HTTP2Handler) throws(HTTP2Error) {
        self.role = role
        self.handler = handler
        var callbacks: OpaquePointer?
        var option: OpaquePointer?
        guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0, unsafe nghttp2_option_new(&option) == 0 else {
            throw HTTP2Error(NGHTTP2_ERR_NOMEM.rawValue)
        }
        defer {
            unsafe nghttp2_session_callbacks_del(callbacks)
            unsafe nghttp2_option_del(option)
        }
        unsafe Callbacks.install(callbacks)
        if options.manualWindow { unsafe nghttp2_option_set_no_auto_window_update(option, 1) }
        let owner = unsafe Unmanaged.passUnretained(self).toOpaque()
        let result =
            role == .client
            ? unsafe nghttp2_session_client_new2(&session, callbacks, owner, option)
            : unsafe nghttp2_session_server_new2(&session, callbacks, owner, option)
        guard result == 0 else { throw HTTP2Error(result) }
        try submitSettings(options)
    }

    deinit { unsafe nghttp2_session_del(session) }

    private func submitSettings(_ options: Options) throws(HTTP2Error) {
        var entries = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: UInt32(options.window)
            ),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                value: UInt32(options.maxConcurrentStreams)
            ),
        ]
        if role == .client {
            entries.append(
                nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0)
            )
        }
        try check(unsafe nghttp2_submit_settings(session, 0, entries, entries.count))
        try check(unsafe nghttp2_session_set_local_window_size(session, 0, 0, Int32(options.window)))
    }

    private func check(_ result: Int32) throws(HTTP2Error) {
        if result < 0 { throw HTTP2Error(result, lastMessage) }
    }

    // MARK: In and out

    /// Takes bytes from the peer, all of them, and reports what they mean to the handler.
    public func feed(_ bytes: RawSpan) throws(HTTP2Error) {
        let result = unsafe bytes.withUnsafeBytes {
            unsafe nghttp2_session_mem_recv(session, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), $0.count)
        }
        if result < 0 { throw HTTP2Error(Int32(result), lastMessage) }
    }

    /// Writes frames to `sink` until there are none or it has no more room.
    ///
    /// - Throws: also when the peer broke the protocol, once the GOAWAY that says so is in `sink`.
    public func drain(into sink: any FrameSink) throws(HTTP2Error) {
        self.sink = sink
        defer { self.sink = nil }
        while sink.hasRoom {
            var bytes: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &bytes)
            if count < 0 { throw HTTP2Error(Int32(count), lastMessage) }
            guard count > 0, let bytes = unsafe bytes else {
                if let failure { throw failure }
                return
            }
            sink.writeControl(unsafe RawSpan(_unsafeStart: UnsafeRawPointer(bytes), byteCount: count))
        }
    }

    /// Neither reads nor writes anything any more: the connection can be closed.
    public var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    public var wantsToWrite: Bool { unsafe nghttp2_session_want_write(session) != 0 }

    // MARK: Streams

    public func stream(_ id: Int32) -> HTTP2Stream? { streams[id] }
    public var streamCount: Int { streams.count }

    /// Client: opens a stream with `headers`; its body comes from `append` and `finish`.
    public func request(_ headers: [HTTP2Header]) throws(HTTP2Error) -> HTTP2Stream {
        let next = unsafe nghttp2_session_get_next_stream_id(session)
        guard next > 0, next < UInt32(Int32.max) else { throw HTTP2Error(NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE.rawValue) }
        let stream = HTTP2Stream(id: Int32(next), session: self)
        let session = unsafe self.session
        let id = unsafe withProvider(stream) { provider in
            unsafe NameValues.with(headers) { fields, count in
                unsafe nghttp2_submit_request(session, nil, fields, count, provider, nil)
            }
        }
        try check(id)
        precondition(id == stream.id, "stream ids are given in order")
        streams[id] = stream
        return stream
    }

    /// Server: answers with `headers`; its body comes from `append` and `finish`. Without a body the headers end
    /// the stream (gRPC's trailers-only answer).
    public func respond(to stream: HTTP2Stream, _ headers: [HTTP2Header], body: Bool) throws(HTTP2Error) {
        let session = unsafe self.session
        let result = unsafe NameValues.with(headers) { fields, count in
            body
                ? unsafe withProvider(stream) { unsafe nghttp2_submit_response(session, stream.id, fields, count, $0) }
                : unsafe nghttp2_submit_response(session, stream.id, fields, count, nil)
        }
        if !body { stream.finished = true }
        try check(result)
    }

    private func withProvider<R>(_ stream: HTTP2Stream, _ body: (UnsafePointer<nghttp2_data_provider>) -> R) -> R {
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.source.ptr = Unmanaged.passUnretained(stream).toOpaque()
        unsafe provider.read_callback = Callbacks.read
        return unsafe body(&provider)
    }

    func resume(_ stream: HTTP2Stream) {
        guard stream.deferred else { return }
        stream.deferred = false
        // NGHTTP2_ERR_INVALID_ARGUMENT only says that the stream is gone; its close has been reported.
        _ = unsafe nghttp2_session_resume_data(session, stream.id)
    }

    func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) {
        _ = unsafe nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code.rawValue)
    }

    func submitTrailers(_ stream: HTTP2Stream) {
        let session = unsafe self.session
        _ = unsafe NameValues.with(stream.trailers) { fields, count in
            unsafe nghttp2_submit_trailer(session, stream.id, fields, count)
        }
    }

    // MARK: Connection

    /// PING; the acknowledgement comes back with the same payload.
    public func ping(_ payload: UInt64) {
        var bytes = payload.bigEndian
        unsafe withUnsafeBytes(of: &bytes) {
            _ = unsafe nghttp2_submit_ping(session, 0, $0.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// GOAWAY after the streams known now; new ones are refused.
    public func goAway(_ code: HTTP2ErrorCode) {
        saidGoAway = true
        // Never more than before (RFC 9113 section 6.8): nghttp2 sees to it only from when the first has been sent.
        lastAnnounced = min(lastAnnounced, unsafe nghttp2_session_get_last_proc_stream_id(session))
        _ = unsafe nghttp2_submit_goaway(session, 0, lastAnnounced, code.rawValue, nil, 0)
    }

    /// Gives `count` received bytes of the stream's and the connection's window back (manual windows).
    public func consume(_ count: Int, on stream: Int32) {
        _ = unsafe nghttp2_session_consume(session, stream, count)
    }

    /// The peer's windows as we see them: what may still be sent.
    public func sendWindow(of stream: HTTP2Stream) -> (stream: Int, connection: Int) {
        unsafe (
            Int(nghttp2_session_get_stream_remote_window_size(session, stream.id)),
            Int(nghttp2_session_get_remote_window_size(session))
        )
    }

    /// The window that the peer gives new streams (SETTINGS_INITIAL_WINDOW_SIZE), in bytes.
    public var peerInitialWindow: Int {
        unsafe Int(nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE))
    }

    // MARK: Called back by nghttp2

    func emit(_ header: UnsafePointer<UInt8>, _ length: Int, _ stream: HTTP2Stream) -> Int32 {
        guard let sink else { return Int32(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
        // nghttp2 goes from one DATA frame to the next within one call; it keeps this one for the next call.
        guard sink.hasRoom else { return Int32(NGHTTP2_ERR_WOULDBLOCK.rawValue) }
        let frameHeader = unsafe RawSpan(_unsafeStart: UnsafeRawPointer(header), byteCount: 9)
        sink.writeData(header: frameHeader, payload: &stream.pending, length: length)
        stream.framedBytes += UInt64(length)
        // The flags are the header's fifth byte (RFC 9113 section 4.1).
        if unsafe header[4] & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { stream.hasSentEnd = true }
        return 0
    }

    /// A GOAWAY that nobody asked for is the library's, after an error of the connection (RFC 9113 section 5.4.1).
    func goAwaySent(_ code: HTTP2ErrorCode, reason: String) {
        guard !saidGoAway, code != .noError else { return }
        failure = HTTP2Error(NGHTTP2_ERR_PROTO.rawValue, reason.isEmpty ? "\(code)" : "\(code): \(reason)")
    }

    func pingFramed(_ frame: UnsafePointer<nghttp2_frame>) {
        guard unsafe frame.pointee.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 else { return }
        handler.pingFramed(unsafe Self.payload(of: frame))
    }

    private static func payload(of ping: UnsafePointer<nghttp2_frame>) -> UInt64 {
        unsafe withUnsafeBytes(of: ping.pointee.ping.opaque_data) {
            unsafe UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self))
        }
    }

    func beginHeaders(_ id: Int32) {
        let stream = streams[id] ?? HTTP2Stream(id: id, session: self)
        streams[id] = stream
        stream.incoming.removeAll()
    }

    func addHeader(_ id: Int32, _ header: HTTP2Header) { streams[id]?.incoming.append(header) }

    func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let head = unsafe frame.pointee.hd
        let ends = head.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        let acknowledges = head.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0
        switch UInt32(head.type) {
        case NGHTTP2_HEADERS.rawValue:
            guard let stream = streams[head.stream_id] else { return }
            let headers = stream.incoming
            stream.incoming = []
            handler.headers(headers, on: stream, end: ends)
        case NGHTTP2_DATA.rawValue:
            if ends, let stream = streams[head.stream_id] { handler.ended(stream) }
        case NGHTTP2_SETTINGS.rawValue:
            if !acknowledges { handler.settingsReceived() }
        case NGHTTP2_PING.rawValue:
            guard acknowledges else { return }
            handler.pingAcknowledged(unsafe Self.payload(of: frame))
        case NGHTTP2_RST_STREAM.rawValue: handler.resetReceived(on: head.stream_id)
        case NGHTTP2_WINDOW_UPDATE.rawValue:
            handler.windowUpdate(
                on: head.stream_id,
                increment: unsafe Int(frame.pointee.window_update.window_size_increment)
            )
        case NGHTTP2_GOAWAY.rawValue:
            let goaway = unsafe frame.pointee.goaway
            let debug = unsafe String(
                decoding: UnsafeBufferPointer(start: goaway.opaque_data, count: min(256, goaway.opaque_data_len)),
                as: UTF8.self
            )
            unsafe handler.goAway(
                lastStream: goaway.last_stream_id,
                code: HTTP2ErrorCode(rawValue: goaway.error_code),
                debug: debug
            )
        default: break
        }
    }

    func dataReceived(_ id: Int32, _ bytes: RawSpan) {
        if let stream = streams[id] { handler.data(bytes, on: stream) }
    }

    func streamClosed(_ id: Int32, _ code: UInt32) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        stream.isClosed = true
        stream.pending.removeAll()
        handler.closed(stream, code: HTTP2ErrorCode(rawValue: code))
    }
}
