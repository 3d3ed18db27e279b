// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import DevelopmentCenter
import ElkeidWire
import GRPC
import HTTP2
import Net
import Reactor
import Syscalls
import TLS
import Transport

/// A Transfer service that costs as little as one can: it answers a stream with the plugins' configuration, gives window
/// back as bytes come, and drops them; or it reads the records, when somebody wants to hear of them.
final class DiscardServer: AgentServer {
    /// Window of the stream and of the connection, in bytes: what grpc-go grows to on a quick network. Half of it is
    /// given back at a time.
    let window: Int
    fileprivate let rig: Rig
    private var listener: Listener?
    private var sessions: [DiscardSession] = []
    fileprivate(set) var bytes: UInt64 = 0
    fileprivate(set) var streams = 0
    fileprivate var plugins: [PluginConfig] = []
    /// Hears of each record that is no heartbeat: its timestamp.
    var onRecord: ((Int64) -> Void)?

    var port: UInt16 { listener?.port ?? 0 }
    var connections: Int { streams }
    /// Ciphertext of all connections.
    var networkBytes: UInt64 { sessions.reduce(0) { $0 + $1.networkBytes } }

    init(_ rig: Rig, window: Int = 1 << 20) throws {
        self.rig = rig
        self.window = window
        listener = try Listener(try SocketAddress(text: "127.0.0.1:0"), reactor: rig.reactor) {
            [unowned self] descriptor in
            do throws(TLSError) {
                self.sessions.append(try DiscardSession(descriptor, server: self))
            } catch {
                complain("\(error)")
            }
        }
    }

    func tell(_ plugins: [PluginConfig]) { self.plugins = plugins }

    func close() { listener?.close() }
}

private final class DiscardSession: HTTP2Handler, HTTP2ConnectionOwner {
    private unowned let server: DiscardServer
    private var connection: HTTP2Connection?
    private var decoder = MessageDecoder()
    private let arena = Arena(pool: SlabPool(slabSize: 64 << 10))
    private var answered = false

    init(_ descriptor: consuming FileDescriptor, server: DiscardServer) throws(TLSError) {
        self.server = server
        connection = try HTTP2Connection.serve(
            descriptor,
            context: server.rig.serverContext,
            reactor: server.rig.reactor,
            limit: .seconds(20),
            options: HTTP2Session.Options(window: server.window),
            handler: self,
            owner: self
        )
    }

    var networkBytes: UInt64 { connection?.bytesReceived ?? 0 }

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        if end { return stream.finish(trailers: [HTTP2Header("grpc-status", "0")]) }
        server.streams += 1
        let coding = headers.first { $0.name == "grpc-encoding" }?.value
        decoder.use(coding.flatMap { ContentCoding(grpcName: $0) } ?? .identity)
        let answer = [HTTP2Header(":status", "200"), HTTP2Header("content-type", "application/grpc")]
        do throws(HTTP2Error) { try connection?.http?.respond(to: stream, answer, body: true) } catch {
            complain("\(error)")
        }
    }

    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        server.bytes += UInt64(bytes.byteCount)
        if !answered { answer(stream) }
        guard server.onRecord != nil else { return }
        decoder.feed(bytes)
        do {
            while true {
                switch try decoder.next() {
                case .needsInput: return
                case .working: continue
                case .message(let message): try read(message)
                }
            }
        } catch {
            complain("a message that cannot be read: \(error)")
        }
    }

    private func answer(_ stream: HTTP2Stream) {
        answered = true
        var writer = WireWriter()
        Command(configs: server.plugins).encode(into: &writer)
        var message = BufferChain()
        let prefix: [UInt8] = [0] + (0..<4).map { UInt8(truncatingIfNeeded: writer.bytes.count >> (24 - 8 * $0)) }
        unsafe arena.append((prefix + writer.bytes).span.bytes, to: &message)
        stream.append(message)
    }

    private func read(_ message: [UInt8]) throws(WireError) {
        var reader = unsafe PackagedDataReader(message.span.bytes)
        while let record = try reader.nextRecord() {
            if record.dataType != 1000 && record.dataType != 1001 { server.onRecord?(record.timestamp) }
        }
    }

    func ended(_ stream: HTTP2Stream) { stream.finish(trailers: [HTTP2Header("grpc-status", "0")]) }
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) { server.streams -= 1 }
    func settingsReceived() {}
    func pingAcknowledged(_ payload: UInt64) {}
    func windowUpdate(on stream: Int32, increment: Int) {}
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {}
    func connected(_ connection: HTTP2Connection) {}
    func fillStreams(_ connection: HTTP2Connection) {}
    func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {}
}
