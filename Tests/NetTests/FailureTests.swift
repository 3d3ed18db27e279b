// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Net
import Reactor
import Syscalls
import TLS
import TestSupport
import Testing

@Suite("TLS over sockets: failures")
struct FailureTests {
    let reactor: Reactor
    let client = Owner()

    init() throws {
        reactor = try Reactor()
    }

    func connect(to address: SocketAddress, limit: TimeSpan = patience) throws {
        client.connection = try TLSConnection.connect(
            to: address,
            session: try TLSSession(try context(.client, "ordinary"), serverName: "elkeid.com"),
            reactor: reactor,
            limit: limit,
            handler: client
        )
    }

    func end() throws -> ConnectionEnd {
        try reactor.run { !client.ends.isEmpty }
        #expect(client.ends.count == 1)
        try reactor.turn(wait: false)
        #expect(reactor.statistics.staleEvents == 0 && client.ends.count == 1)
        return client.ends[0]
    }

    @Test func nobodyListens() throws {
        let listener = try Listener(reactor) { _ in }
        listener.close()
        try connect(to: listener.address)
        let end = try end()
        #expect(end == .connect(Errno(rawValue: ECONNREFUSED)))
        #expect(end.description == "cannot connect: Connection refused")
        #expect(reactor.sourceCount == 0 && !client.isSecured)
    }

    /// A peer that takes the connection and says nothing.
    @Test func silentPeer() throws {
        var accepted: CInt?
        let listener = try Listener(reactor) { accepted = $0.release() }
        try connect(to: listener.address, limit: .milliseconds(30))
        let end = try end()
        #expect(end == .timeout("TLS handshake") && end.description.contains("no answer in time"))
        if let accepted { _ = FileDescriptor(owning: accepted) }
        listener.close()
        #expect(reactor.sourceCount == 0)
    }

    /// A client that connects and says nothing does not hold a server either.
    @Test func silentClient() throws {
        let owner = Owner()
        let session = try TLSSession(try context(.server, "ordinary"))
        let listener = try Listener(reactor) { [reactor] descriptor in
            owner.connection = TLSConnection.serve(
                descriptor,
                session: session,
                reactor: reactor,
                limit: .milliseconds(30),
                handler: owner
            )
        }
        let socket = try listener.address.startConnecting()
        try reactor.run { !owner.ends.isEmpty }
        #expect(owner.ends == [.timeout("TLS handshake")])
        try socket.close()
        listener.close()
    }

    /// What a peer without TLS says, byte for byte, and then it hangs up.
    @Test(arguments: [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", true), ("SSH-2.0-OpenSSH\r\n", true), ("", false),
        ("\u{16}\u{3}\u{1}", false),
    ])
    func peerWithoutTLS(_ text: String, _ isRecognised: Bool) throws {
        let leftOpen = Descriptors()
        let listener = try Listener(reactor) { descriptor in
            _ = [UInt8](text.utf8).withBytes { descriptor.send($0) }
            // Only our half: a reset would overtake what was said.
            shutdown(descriptor.rawValue, CInt(SHUT_WR))
            leftOpen.append(descriptor.release())
        }
        try connect(to: listener.address)
        let end = try end()
        if isRecognised {
            guard case .tls(let error) = end else {
                Issue.record("\(end)")
                return
            }
            #expect(error.kind == .notTLS && end.description.contains("does not speak TLS"))
        } else {
            #expect(end == .peerClosed && end.description == "the peer closed the connection")
        }
        leftOpen.close()
        listener.close()
    }

    /// Each side says what it does not like of the other, in one line.
    @Test(arguments: [
        ("ordinary", "stranger", "`ca`"), ("ordinary", "wrong-name", "`server_name`"),
        ("ordinary", "expired", "out of date"),
    ])
    func certificateIsRefused(_ set: String, _ other: String, _ text: String) throws {
        let pair = try Pair(client: set, server: other)
        try pair.reactor.run { !pair.client.ends.isEmpty && !pair.server.ends.isEmpty }
        guard case .tls(let error)? = pair.client.ends.first else {
            Issue.record("\(pair.client.ends)")
            return
        }
        #expect(error.kind == .certificate && error.description.contains(text))
        guard case .tls(let alert)? = pair.server.ends.first else {
            Issue.record("\(pair.server.ends)")
            return
        }
        #expect(alert.kind == .alert, "the alert is sent before the socket is closed")
        #expect(!pair.client.isSecured && !pair.server.isSecured)
        pair.finish()
    }

    /// With TLS 1.3 a refused client hears of it after its own handshake is done.
    @Test(arguments: [TLSContext.Version.tls12, .tls13])
    func refusedClientHearsWhy(_ version: TLSContext.Version) throws {
        let pair = try Pair(client: "expired", server: "ordinary", maximum: version)
        try pair.reactor.run { !pair.client.ends.isEmpty && !pair.server.ends.isEmpty }
        guard case .tls(let error)? = pair.client.ends.first else {
            Issue.record("\(pair.client.ends)")
            return
        }
        #expect(error.kind == .alert && error.description.contains("[tls] certificate"))
        guard case .tls(let reason)? = pair.server.ends.first else {
            Issue.record("\(pair.server.ends)")
            return
        }
        #expect(reason.kind == .certificate)
        pair.finish()
    }

    /// The socket goes away without close_notify.
    @Test(arguments: [false, true])
    func peerVanishes(reset: Bool) throws {
        let server = Owner()
        let session = try TLSSession(try context(.server, "ordinary"))
        var raw: CInt = -1
        let listener = try Listener(reactor) { [reactor] descriptor in
            raw = descriptor.rawValue
            server.connection = TLSConnection.serve(
                descriptor,
                session: session,
                reactor: reactor,
                limit: patience,
                handler: server
            )
        }
        try connect(to: listener.address)
        try reactor.run { client.isSecured && server.isSecured }
        if reset {
            var option = linger(l_onoff: 1, l_linger: 0)
            #expect(unsafe setsockopt(raw, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size)) == 0)
            server.connection?.close(.io(.timedOut))
            #expect(try end() == .io(.connectionReset))
        } else {
            server.connection?.close(.io(.timedOut))
            #expect(try end() == .peerClosed)
        }
        #expect(server.ends == [.io(.timedOut)])
        listener.close()
        #expect(reactor.sourceCount == 0)
    }

    @Test func endsAreDescribed() {
        #expect(ConnectionEnd.io(.connectionReset).description == "connection lost: Connection reset by peer")
        #expect(ConnectionEnd.local("stopping").description == "stopping")
        #expect(ConnectionEnd.timeout("connecting").description == "connecting: no answer in time")
    }
}

/// Descriptors to be closed at the end of a test.
private final class Descriptors {
    private var open: [CInt] = []
    func append(_ raw: CInt) { open.append(raw) }
    func close() {
        for raw in open { _ = FileDescriptor(owning: raw) }
        open = []
    }
}
