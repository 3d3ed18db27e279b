// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import GRPC
import HTTP2
import Net
import Reactor
import Syscalls
import TLS
import Transport

/// One agent's connection: accepts gRPC calls on it and routes them.
final class AgentConnection: HTTP2Handler, HTTP2ConnectionOwner {
    /// Receive window of each stream and of the connection, in bytes.
    static let window = 4 << 20
    static let maximumStreams = 4
    /// For the TLS handshake.
    static let handshakeLimit = TimeSpan.seconds(15)

    private unowned let center: Center
    private var connection: HTTP2Connection?
    private var calls: [Int32: ServerCall] = [:]
    /// Streams with a complete answer, on which the client may still be sending, and how many refills ago that was.
    private var answered: [(stream: HTTP2Stream, refills: Int)] = []
    /// Where prefixes and compressed answers go.
    let arena: Arena
    private(set) var peer = ""
    /// The address of ours that the agent reached.
    var localAddress: SocketAddress? { connection?.localAddress }

    init(_ descriptor: consuming FileDescriptor, center: Center) throws(TLSError) {
        self.center = center
        arena = center.arena
        let options = HTTP2Session.Options(
            window: Self.window,
            manualWindow: true,
            maxConcurrentStreams: Self.maximumStreams
        )
        connection = try HTTP2Connection.serve(
            descriptor,
            context: center.context,
            reactor: center.reactor,
            limit: Self.handshakeLimit,
            options: options,
            handler: self,
            owner: self
        )
        peer = connection?.remoteAddress?.description ?? ""
    }

    /// Also when the connection is over, which then knows it no more.
    var bytesReceived: UInt64 { max(bytesSeen, connection?.bytesReceived ?? 0) }
    private var bytesSeen: UInt64 = 0

    func close() { connection?.close("the server stops") }

    func flush() { connection?.flush() }

    func giveBack(_ count: Int, of stream: HTTP2Stream) {
        connection?.http?.consume(count, on: stream.id)
        connection?.flush()
    }

    /// Sends response headers; without a body they are the whole answer.
    func respond(to stream: HTTP2Stream, _ headers: [HTTP2Header], body: Bool) {
        guard !stream.isClosed else { return }
        if !body { finished(stream) }
        do throws(HTTP2Error) {
            try connection?.http?.respond(to: stream, headers, body: body)
            connection?.flush()
        } catch {
            connection?.close("\(error)")
        }
    }

    /// Says that no more calls are taken, for a server that stops.
    func goAway() {
        connection?.http?.goAway(.noError)
        connection?.flush()
    }

    // MARK: Calls

    private func open(_ stream: HTTP2Stream, _ headers: [HTTP2Header], end: Bool) {
        func value(_ name: String) -> String? { headers.first { $0.name == name }?.value }
        guard value(":method") == "POST" else {
            return respond(to: stream, [HTTP2Header(":status", "405"), HTTP2Header("allow", "POST")], body: false)
        }
        guard value("content-type")?.hasPrefix("application/grpc") == true else {
            return respond(to: stream, [HTTP2Header(":status", "415")], body: false)
        }
        let name = value("grpc-encoding") ?? "identity"
        guard let coding = ContentCoding(grpcName: name) else {
            let status = GRPCStatus(.unimplemented, "grpc: Decompressor is not installed for grpc-encoding \"\(name)\"")
            return refuse(stream, status, [HTTP2Header("grpc-accept-encoding", "identity,snappy,gzip,zstd")])
        }
        let call = ServerCall(stream, on: self, coding: coding, arena: arena, reactor: center.reactor)
        switch value(":path") {
        case "/grpc.Transfer/Transfer": call.serve(TransferCall(call, center: center, connection: self))
        case "/grpc.FileExt/Upload": call.serve(UploadCall(call, center: center))
        case let path:
            return refuse(stream, GRPCStatus(.unimplemented, "unknown method \(path ?? "")"), [])
        }
        calls[stream.id] = call
        if end { call.clientHalfClosed() }
    }

    private func refuse(_ stream: HTTP2Stream, _ status: GRPCStatus, _ more: [HTTP2Header]) {
        let headers = [
            HTTP2Header(":status", "200"), HTTP2Header("content-type", "application/grpc"),
            HTTP2Header("grpc-status", "\(status.code.rawValue)"),
            HTTP2Header("grpc-message", percentEncoded(status.message)),
        ]
        respond(to: stream, headers + more, body: false)
    }

    /// The answer is complete; the client may still be sending.
    func finished(_ stream: HTTP2Stream) {
        answered.append((stream: stream, refills: 0))
        connection?.flush()
    }

    // MARK: HTTP2Handler

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        if let call = calls[stream.id] {
            if end { call.clientHalfClosed() }
        } else {
            open(stream, headers, end: end)
        }
    }

    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        guard let call = calls[stream.id] else { return giveBack(bytes.byteCount, of: stream) }
        call.feed(bytes)
    }

    func ended(_ stream: HTTP2Stream) { calls[stream.id]?.clientHalfClosed() }

    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) { calls.removeValue(forKey: stream.id)?.closed() }

    func settingsReceived() {}
    func pingAcknowledged(_ payload: UInt64) {}
    func windowUpdate(on stream: Int32, increment: Int) {}
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {}

    // MARK: HTTP2ConnectionOwner

    func connected(_ connection: HTTP2Connection) {}

    /// A client that does not end its half on seeing the trailers is told to stop by a reset, once they are out: two
    /// refills after they were queued, the first of which framed them.
    func kernelTookEverything(_ connection: HTTP2Connection) {
        bytesSeen = connection.bytesReceived
        guard !answered.isEmpty else { return }
        // An answer that is not all framed waits for the client's window, and will be heard of when that opens.
        for index in answered.indices where answered[index].stream.pendingBytes == 0 {
            answered[index].refills += 1
            connection.flush()
            let stream = answered[index].stream
            if answered[index].refills == 2 && !stream.isClosed { stream.reset(.noError) }
        }
        answered.removeAll { $0.stream.isClosed || $0.refills >= 2 }
    }

    func fillStreams(_ connection: HTTP2Connection) {}

    func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
        let calls = self.calls.values
        self.calls = [:]
        for call in calls { call.closed() }
        center.ended(self, end)
    }
}
