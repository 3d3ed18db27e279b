// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import DevelopmentCenter
import GRPC
import HTTP2
import Net
import Reactor
import Syscalls
import TLS
import Transport

/// A client of our own modules, that notes everything it hears.
final class GRPCClient: HTTP2Handler, HTTP2ConnectionOwner {
    private(set) var isReady = false
    private(set) var end: ConnectionEnd?
    private var connection: HTTP2Connection?
    private let arena = Arena(pool: SlabPool(slabSize: 64 << 10))
    private var calls: [Int32: Call] = [:]

    final class Call {
        let stream: HTTP2Stream
        fileprivate let assembler: MessageAssembler
        fileprivate var decoder = MessageDecoder()
        /// Header blocks as they came: response headers, then trailers, or trailers only.
        var blocks: [[HTTP2Header]] = []
        var messages: [[UInt8]] = []
        /// Compressed flags of the messages.
        var flags: [UInt8] = []
        fileprivate var raw: [UInt8] = []
        var isClosed = false
        var resetCode: HTTP2ErrorCode?
        var credit = 0

        fileprivate init(_ stream: HTTP2Stream, _ assembler: MessageAssembler) {
            self.stream = stream
            self.assembler = assembler
        }

        func header(_ name: String) -> String? { blocks.joined().last { $0.name == name }?.value }
        var status: String? { header("grpc-status") }
    }

    init(to address: String, certificates: CertificateFolder, reactor: Reactor) throws {
        let context = try TLSContext(role: .client, files: certificates.client)
        connection = try HTTP2Connection.connect(
            to: try SocketAddress(text: address),
            context: context,
            serverName: "elkeid.com",
            reactor: reactor,
            limit: .seconds(30),
            options: HTTP2Session.Options(window: 16 << 20),
            handler: self,
            owner: self
        )
    }

    func open(_ path: String, coding: ContentCoding = .identity, override: [HTTP2Header] = []) throws -> Call {
        guard let http = connection?.http else { throw Problem(description: "not connected") }
        var headers = ClientCall.requestHeaders(
            path: path,
            authority: "127.0.0.1",
            coding: coding,
            userAgent: "test"
        )
        for field in override {
            headers.removeAll { $0.name == field.name }
            // Pseudo-header fields come first (RFC 9113 section 8.3).
            if field.name.hasPrefix(":") { headers.insert(field, at: 0) } else { headers.append(field) }
        }
        let call = Call(try http.request(headers), MessageAssembler(coding, arena: arena))
        calls[call.stream.id] = call
        connection?.flush()
        return call
    }

    func send(_ message: [UInt8], on call: Call) throws {
        var body = BufferChain()
        unsafe arena.append(message.span.bytes, to: &body)
        var framed = call.assembler.begin(body)
        while framed == nil { framed = try call.assembler.step() }
        if let framed { call.stream.append(framed) }
        connection?.flush()
    }

    /// Bytes that need not be a message.
    func sendRaw(_ bytes: [UInt8], on call: Call) {
        var body = BufferChain()
        unsafe arena.append(bytes.span.bytes, to: &body)
        call.stream.append(body)
        connection?.flush()
    }

    func finish(_ call: Call) {
        call.stream.finish()
        connection?.flush()
    }

    func close() { connection?.close("the test is over") }

    // MARK: HTTP2Handler

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        guard let call = calls[stream.id] else { return }
        call.blocks.append(headers)
        if let name = headers.first(where: { $0.name == "grpc-encoding" })?.value,
            let coding = ContentCoding(grpcName: name)
        {
            call.decoder.use(coding)
        }
    }

    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        guard let call = calls[stream.id] else { return }
        call.decoder.feed(bytes)
        unsafe bytes.withUnsafeBytes { unsafe call.raw.append(contentsOf: $0) }
        while call.raw.count >= 5 {
            let length = call.raw[1..<5].reduce(0) { $0 << 8 | Int($1) }
            guard call.raw.count >= 5 + length else { break }
            call.flags.append(call.raw[0])
            call.raw.removeFirst(5 + length)
        }
        while case .message(let message)? = try? call.decoder.next() { call.messages.append(message) }
    }

    func ended(_ stream: HTTP2Stream) {}
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {
        calls[stream.id]?.isClosed = true
        calls[stream.id]?.resetCode = code
    }
    func settingsReceived() {}
    func pingAcknowledged(_ payload: UInt64) {}
    func windowUpdate(on stream: Int32, increment: Int) { calls[stream]?.credit += increment }
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {}

    // MARK: HTTP2ConnectionOwner

    func connected(_ connection: HTTP2Connection) { isReady = true }
    func fillStreams(_ connection: HTTP2Connection) {}
    func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) { self.end = end }
}
