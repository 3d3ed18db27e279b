// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Net
import Reactor
import Syscalls
import TLS

/// A server that takes bytes and forgets them.
protocol Sink: AnyObject {
    var port: UInt16 { get }
    /// Bytes of payload that have come, over all connections.
    var bytes: UInt64 { get }
    var connections: Int { get }
}

/// A sink that agents can be pointed at.
protocol AgentServer: Sink {
    /// Agents that come from now on are told to run these plugins.
    func tell(_ plugins: [PluginConfig]) throws
}

/// Takes a TLS connection and decrypts what comes: the server of the floors, whose bytes have no meaning.
final class PlainSink: Sink {
    private var listener: Listener?
    private var sessions: [PlainSession] = []
    fileprivate(set) var bytes: UInt64 = 0
    var port: UInt16 { listener?.port ?? 0 }
    var connections: Int { sessions.count { $0.isSecured } }

    init(_ rig: Rig) throws {
        listener = try Listener(try SocketAddress(text: "127.0.0.1:0"), reactor: rig.reactor) {
            [unowned self] descriptor in
            do throws(TLSError) {
                self.sessions.append(try PlainSession(descriptor, sink: self, rig: rig))
            } catch {
                complain("\(error)")
            }
        }
    }

    func close() { listener?.close() }
}

private final class PlainSession: TLSConnectionHandler {
    private unowned let sink: PlainSink
    private var connection: TLSConnection?
    private(set) var isSecured = false

    init(_ descriptor: consuming FileDescriptor, sink: PlainSink, rig: Rig) throws(TLSError) {
        self.sink = sink
        connection = TLSConnection.serve(
            descriptor,
            session: try TLSSession(rig.serverContext),
            reactor: rig.reactor,
            limit: .seconds(10),
            handler: self
        )
    }

    func secured() { isSecured = true }
    func received(_ plaintext: RawSpan) { sink.bytes += UInt64(plaintext.byteCount) }
    func refill() {}
    func ended(_ end: ConnectionEnd) { isSecured = false }
}
