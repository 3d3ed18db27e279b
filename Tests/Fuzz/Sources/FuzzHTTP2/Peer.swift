// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import FuzzSupport
import HTTP2

/// A session, its owner and its connection: hears bytes in pieces, and sends frames through a narrow opening.
final class Peer: HTTP2Handler {
    /// What is known of a stream, kept as its context.
    final class Exchange {
        var received: [UInt8] = []
        var sent: [UInt8] = []
        var headerBlocks = 0
        var peerEnded = false
        var isOver = false
        var wasReset = false
        /// Our half: headers sent by a server, and the end.
        var hasAnswered = false
        var hasFinished = false
    }

    private let role: HTTP2Session.Role
    private let arena: Arena
    private var sizes: Sizes
    private let sink: NarrowSink
    private var session: HTTP2Session?
    private(set) var streams: [HTTP2Stream] = []
    private(set) var failure: HTTP2Error?
    private(set) var acknowledgedPings: [UInt64] = []
    /// Does this server answer every request at once?
    var answers = false

    init(_ role: HTTP2Session.Role, _ sizes: Sizes, _ pool: SlabPool, manualWindow: Bool = false) {
        self.role = role
        self.sizes = sizes
        arena = Arena(pool: pool)
        sink = NarrowSink(capacity: self.sizes.next())
        let options = HTTP2Session.Options(window: 70_000, manualWindow: manualWindow, maxConcurrentStreams: 10)
        do throws(HTTP2Error) {
            session = try HTTP2Session(role: role, options: options, handler: self)
        } catch {
            fatalError("a session cannot be made: \(error)")
        }
    }

    // MARK: What the fuzzer does

    /// Takes the peer's bytes piece by piece, answering in between, until they break the protocol.
    func hear(_ bytes: [UInt8]) {
        for piece in sizes.pieces(of: bytes) {
            guard failure == nil else { return }
            feed(piece)
            speak()
        }
        while failure == nil, sink.frames > 0 { speak() }
    }

    private func feed(_ piece: ArraySlice<UInt8>) {
        guard let session else { return }
        do throws(HTTP2Error) {
            try session.feed(unsafe piece.span.bytes)
        } catch {
            expect(!error.description.isEmpty, "an error without a description")
            failure = error
            // A connection says why it closes.
            try? session.drain(into: sink)
        }
    }

    /// Lets the session write as much as fits, and forgets it.
    private func speak() { _ = takeFrames() }

    /// What the session writes until the sink is full.
    func takeFrames() -> [UInt8] {
        sink.empty()
        do throws(HTTP2Error) {
            try session?.drain(into: sink)
        } catch {
            failure = error
        }
        return sink.bytes
    }

    func take(_ bytes: [UInt8]) {
        for piece in sizes.pieces(of: bytes) where failure == nil { feed(piece) }
    }

    func request(body count: Int) {
        let headers = [
            HTTP2Header(":method", "POST"), HTTP2Header(":scheme", "https"),
            HTTP2Header(":path", "/grpc.Transfer/Transfer"),
            HTTP2Header(":authority", "elkeid.com"), HTTP2Header("content-type", "application/grpc"),
        ]
        do throws(HTTP2Error) {
            guard let stream = try session?.request(headers) else { return }
            stream.context = Exchange()
            streams.append(stream)
            append(count, to: stream)
        } catch {
            failure = error
        }
    }

    func append(_ count: Int, to stream: HTTP2Stream) {
        guard let exchange = stream.context as? Exchange else { return }
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: exchange.sent.count + $0 * 7) }
        var chain = BufferChain()
        arena.append(unsafe bytes.span.bytes, to: &chain)
        exchange.sent += bytes
        stream.append(chain)
    }

    func ping(_ payload: UInt64) { session?.ping(payload) }

    func goAway() { session?.goAway(.noError) }

    /// Asks everything that can be asked.
    func checkEnd() {
        guard let session else { return }
        // One more at most: its headers have begun and were never completed, so nobody was told. After a failure those
        // that the library refused are not closed any more.
        let unannounced = session.streamCount - streams.count { !$0.isClosed }
        expect(unannounced >= 0, "a session that has forgotten a stream")
        expect(unannounced <= 1 || failure != nil, "a session with \(unannounced) streams that nobody knows of")
        for stream in streams where !stream.isClosed {
            _ = session.sendWindow(of: stream)
            expect(session.stream(stream.id) === stream, "a session that does not know its stream")
        }
        _ = (session.isFinished, session.wantsToWrite)
    }

    // MARK: HTTP2Handler

    private func exchange(_ stream: HTTP2Stream) -> Exchange {
        if let exchange = stream.context as? Exchange {
            expect(!exchange.isOver && !stream.isClosed, "news of a stream that is over")
            return exchange
        }
        expect(role == .server, "a stream that nobody asked for")
        let exchange = Exchange()
        stream.context = exchange
        streams.append(stream)
        return exchange
    }

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        let exchange = exchange(stream)
        expect(!exchange.peerEnded, "headers after the end")
        exchange.headerBlocks += 1
        exchange.peerEnded = end
        guard role == .server, exchange.headerBlocks == 1 else { return }
        let size = sizes.next(atLeast: 0)
        if answers { answer(stream, size: size) }
    }

    func answer(_ stream: HTTP2Stream, size: Int) {
        do throws(HTTP2Error) {
            try session?.respond(to: stream, [HTTP2Header(":status", "200")], body: size > 0)
            guard size > 0 else { return }
            append(size, to: stream)
            if answers { stream.finish(trailers: [HTTP2Header("grpc-status", "0")]) }
        } catch {
            stream.reset(.internalError)
        }
    }

    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        let exchange = exchange(stream)
        expect(!exchange.peerEnded && exchange.headerBlocks > 0, "data before the headers or after the end")
        unsafe bytes.withUnsafeBytes { unsafe exchange.received.append(contentsOf: $0) }
    }

    func ended(_ stream: HTTP2Stream) {
        let exchange = exchange(stream)
        expect(!exchange.peerEnded, "a second end")
        exchange.peerEnded = true
    }

    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {
        expect(stream.isClosed, "a closed stream that does not know")
        expect(stream.pendingBytes == 0, "a closed stream that holds memory")
        expect(!code.description.isEmpty, "an error code without a description")
        guard let exchange = stream.context as? Exchange else { return streams.append(stream) }
        expect(!exchange.isOver, "a stream that closes twice")
        exchange.isOver = true
        exchange.wasReset = code != .noError
    }

    func settingsReceived() {}

    func pingAcknowledged(_ payload: UInt64) { acknowledgedPings.append(payload) }

    func windowUpdate(on stream: Int32, increment: Int) {
        expect(increment > 0 && stream >= 0, "a window update of \(increment) on stream \(stream)")
    }

    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {
        expect(debug.unicodeScalars.count <= 256, "more debug data than asked for")
    }
}

/// Has room for little, and checks what it is given.
private final class NarrowSink: FrameSink {
    private let capacity: Int
    private(set) var bytes: [UInt8] = []
    private(set) var frames = 0
    private var overshoot = 0
    private let gather = ScratchBuffer(capacity: 16_384)

    init(capacity: Int) { self.capacity = capacity }

    func empty() {
        bytes.removeAll(keepingCapacity: true)
        frames = 0
        overshoot = 0
    }

    var hasRoom: Bool { bytes.count < capacity }

    func writeControl(_ span: RawSpan) {
        // nghttp2 does not stop between DATA, which filled the sink, and the control frame behind it: one may follow.
        if !hasRoom { overshoot += 1 }
        expect(overshoot <= 1, "a second frame without room for it")
        expect(span.byteCount > 0 && span.byteCount <= 16_384, "a control frame of \(span.byteCount) bytes")
        append(span)
    }

    func writeData(header: RawSpan, payload: inout BufferChain, length: Int) {
        expect(hasRoom, "a DATA frame without room for it")
        expect(length <= HTTP2Session.fullFrame && length <= payload.count, "a DATA frame of \(length) bytes")
        let announced = (0..<3).reduce(0) { $0 << 8 | Int(header.byte(at: $1)) }
        expect(header.byteCount == 9 && announced == length && header.byte(at: 3) == 0, "a wrong frame header")
        let before = bytes.count
        gather.fill { span in
            payload.takeFrame(header: header, length: length, scratch: &span) { append($0) }
        }
        expect(bytes.count == before + 9 + length, "another frame than announced")
    }

    private func append(_ span: RawSpan) {
        unsafe span.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
        frames += 1
    }
}
