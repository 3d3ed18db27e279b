// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import GRPC
import HTTP2
import Reactor

/// What a service does with one call.
protocol CallHandler: AnyObject {
    /// One message, decompressed. A status ends the call with it.
    func received(_ message: [UInt8]) -> GRPCStatus?
    /// The client will send no more. The status ends the call.
    func halfClosed() -> GRPCStatus
    /// The call is over, in whatever way; heard exactly once.
    func ended()
}

/// The server's side of one gRPC call on an HTTP/2 stream.
///
/// Messages are handled in turns of bounded work, in order; the window that a message took is given back when it has
/// been handled, so a client sees how far the server really is. Answers are compressed as the client's messages are.
final class ServerCall {
    /// Decompressed bytes handled before other connections have their turn.
    static let turnBudget = 1 << 20
    /// Messages above this have their window given back as they come; those below can be held back without stalling,
    /// since `AgentConnection.maximumStreams` of them fit in half a window.
    static let heldBack = AgentConnection.window / 2 / AgentConnection.maximumStreams - 1

    private enum State { case open, finishing, finished }

    private unowned let connection: AgentConnection
    let stream: HTTP2Stream
    private let coding: ContentCoding
    private var state = State.open
    private var decoder: MessageDecoder
    private var boundaries = MessageBoundaries(threshold: ServerCall.heldBack)
    /// Bytes whose window has not been given back.
    private var withheld = 0
    private var clientEnded = false
    private let assembler: MessageAssembler
    private var outgoing: [BufferChain] = []
    private var finalStatus = GRPCStatus(.ok)
    private var answered = false
    private var handler: (any CallHandler)?
    private var work: Deferred?

    init(_ stream: HTTP2Stream, on connection: AgentConnection, coding: ContentCoding, arena: Arena, reactor: Reactor) {
        self.stream = stream
        self.connection = connection
        self.coding = coding
        decoder = MessageDecoder()
        decoder.use(coding)
        assembler = MessageAssembler(coding, arena: arena)
        work = reactor.makeDeferred { [weak self] in self?.turn() }
    }

    /// Must be called before anything is fed.
    func serve(_ handler: any CallHandler) { self.handler = handler }

    // MARK: From the client

    func feed(_ bytes: RawSpan) {
        guard state == .open else { return connection.giveBack(bytes.byteCount, of: stream) }
        decoder.feed(bytes)
        let early = boundaries.feed(bytes)
        withheld += bytes.byteCount - early
        if early > 0 { connection.giveBack(early, of: stream) }
        work?.schedule()
    }

    func clientHalfClosed() {
        clientEnded = true
        work?.schedule()
    }

    /// The stream or the connection is gone.
    func closed() {
        state = .finished
        work?.cancel()
        releaseWindow()
        endHandler()
    }

    private func endHandler() {
        let handler = self.handler
        self.handler = nil
        handler?.ended()
    }

    private func releaseWindow() {
        if withheld > 0 { connection.giveBack(withheld, of: stream) }
        withheld = 0
    }

    // MARK: Work in turns

    private func turn() {
        var spent = 0
        while state == .open && spent < Self.turnBudget {
            do throws(MessageError) {
                switch try decoder.next(budget: Self.turnBudget - spent) {
                case .message(let message):
                    spent += message.count + 1024
                    handle(message)
                case .working:
                    spent = Self.turnBudget
                case .needsInput:
                    if clientEnded { try halfClose() }
                    return answer()
                }
            } catch {
                finish(Self.status(of: error))
            }
        }
        answer()
        if state == .open { work?.schedule() }
    }

    private func handle(_ message: [UInt8]) {
        let status = handler?.received(message)
        let size = min(boundaries.handled(), withheld)
        withheld -= size
        connection.giveBack(size, of: stream)
        if let status { finish(status) }
    }

    private func halfClose() throws(MessageError) {
        try decoder.finish()
        if let handler { finish(handler.halfClosed()) }
    }

    private static func status(of error: MessageError) -> GRPCStatus {
        switch error {
        case .tooLarge(let bytes, let limit):
            GRPCStatus(.resourceExhausted, "grpc: received message larger than max (\(bytes) vs. \(limit))")
        default: GRPCStatus(.internalError, "grpc: \(error)")
        }
    }

    // MARK: To the client

    /// Queues one message.
    func send(_ message: [UInt8]) {
        guard state == .open else { return }
        var body = BufferChain()
        unsafe connection.arena.append(message.span.bytes, to: &body)
        outgoing.append(body)
        work?.schedule()
    }

    /// Ends the call after what was sent before. Nothing more is read.
    func finish(_ status: GRPCStatus) {
        guard state == .open else { return }
        state = .finishing
        finalStatus = status
        releaseWindow()
        endHandler()
        work?.schedule()
    }

    /// Makes the next messages, one compression step at most, then the end.
    private func answer() {
        var message: BufferChain?
        if assembler.isBusy {
            do throws(CompressionError) { message = try assembler.step() } catch {
                // Our own compressor failed: the message is given up, and the call with it.
                outgoing.removeAll()
                if state == .open { finish(GRPCStatus(.internalError, "\(error)")) }
            }
        } else if !outgoing.isEmpty {
            message = assembler.begin(outgoing.removeFirst())
        }
        if let message {
            respond(body: true)
            stream.append(message)
        }
        if assembler.isBusy || !outgoing.isEmpty {
            work?.schedule()
        } else if state == .finishing {
            end()
        }
        connection.flush()
    }

    private func respond(body: Bool, status: [HTTP2Header] = []) {
        guard !answered else { return }
        answered = true
        var headers = [HTTP2Header(":status", "200"), HTTP2Header("content-type", "application/grpc")]
        if coding != .identity && body { headers.append(HTTP2Header("grpc-encoding", coding.grpcName)) }
        connection.respond(to: stream, headers + status, body: body)
    }

    private func end() {
        state = .finished
        guard !stream.isClosed else { return }
        var trailers = [HTTP2Header("grpc-status", "\(finalStatus.code.rawValue)")]
        if !finalStatus.message.isEmpty {
            trailers.append(HTTP2Header("grpc-message", percentEncoded(finalStatus.message)))
        }
        if answered {
            stream.finish(trailers: trailers)
            connection.finished(stream)
        } else {
            respond(body: false, status: trailers)
        }
    }
}
