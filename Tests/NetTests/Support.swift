// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Net
import Reactor
import Syscalls
import TLS
import TestSupport
import Testing

/// What happened to a connection; it may have bytes to send.
final class Owner: TLSConnectionHandler {
    private(set) var isSecured = false
    private(set) var received: [UInt8] = []
    private(set) var ends: [ConnectionEnd] = []
    private(set) var refills = 0
    var connection: TLSConnection?
    /// What is still to be written, in records of `recordSize`.
    var outgoing: ArraySlice<UInt8> = []
    var recordSize = TLSSession.recordSize
    var onReceived: (() -> Void)?
    var onSecured: (() -> Void)?

    func secured() {
        isSecured = true
        onSecured?()
    }

    func received(_ plaintext: RawSpan) {
        received += [UInt8](copying: plaintext)
        onReceived?()
    }

    func refill() {
        refills += 1
        while !outgoing.isEmpty, let connection, connection.canWrite {
            let part = outgoing.prefix(recordSize)
            [UInt8](part).withBytes { connection.write($0) }
            outgoing.removeFirst(part.count)
        }
    }

    func ended(_ end: ConnectionEnd) {
        ends.append(end)
        connection = nil
    }

    func send(_ bytes: [UInt8]) {
        outgoing += bytes
        connection?.requestRefill()
    }
}

/// Accepts connections and hands them on.
final class Listener: ReadinessHandler {
    let address: SocketAddress
    private(set) var source: Source?
    private let accept: (consuming FileDescriptor) -> Void

    init(_ reactor: Reactor, accept: @escaping (consuming FileDescriptor) -> Void) throws {
        let any = try #require(SocketAddress(literal: "127.0.0.1", port: 0))
        let (socket, port) = try any.listen()
        address = try #require(SocketAddress(literal: "127.0.0.1", port: port))
        self.accept = accept
        source = reactor.watch(try require(socket.take()), for: .read, handler: self)
    }

    func handle(_ readiness: Readiness, of source: Source) {
        do {
            let descriptor = try source.withDescriptor { (listening) throws(Errno) in
                try listening.accept()
            }
            accept(try require(descriptor))
        } catch {
            Issue.record(error)
        }
    }

    func close() {
        source?.close()
        source = nil
    }
}

extension Reactor {
    /// Turns until `condition` holds. It must come true by events that are under way.
    func run(until condition: () -> Bool) throws {
        while !condition() { try turn(wait: true) }
    }
}

func context(_ role: TLSContext.Role, _ set: String, maximum: TLSContext.Version = .tls13) throws -> TLSContext {
    let name = role == .client ? "client" : "server"
    let files = TLSContext.Files(
        authority: try Certificates.path(set, "ca.crt"),
        certificate: try Certificates.path(set, "\(name).crt"),
        privateKey: try Certificates.path(set, "\(name).key")
    )
    return try TLSContext(role: role, files: files, maximum: maximum)
}

/// Long enough never to matter.
let patience = TimeSpan.seconds(3600)

/// A client and a server, on one loop.
final class Pair {
    let reactor: Reactor
    let client = Owner()
    let server = Owner()
    private var listener: Listener?

    init(
        client set: String = "ordinary",
        server serverSet: String = "ordinary",
        maximum: TLSContext.Version = .tls13
    ) throws {
        reactor = try Reactor()
        let serverContext = try context(.server, serverSet, maximum: maximum)
        let session = try TLSSession(serverContext)
        let listener = try Listener(reactor) { [reactor, server] descriptor in
            server.connection = TLSConnection.serve(
                descriptor,
                session: session,
                reactor: reactor,
                limit: patience,
                handler: server
            )
        }
        self.listener = listener
        client.connection = try TLSConnection.connect(
            to: listener.address,
            session: try TLSSession(try context(.client, set, maximum: maximum), serverName: "elkeid.com"),
            reactor: reactor,
            limit: patience,
            handler: client
        )
    }

    func secure() throws {
        try reactor.run { client.isSecured && server.isSecured || !client.ends.isEmpty || !server.ends.isEmpty }
        try #require(client.isSecured && server.isSecured, "\(client.ends) \(server.ends)")
    }

    /// Closes what is open, and sees that nothing is left.
    func finish() {
        client.connection?.close(.local("end of test"))
        server.connection?.close(.local("end of test"))
        listener?.close()
        #expect(reactor.sourceCount == 0)
        #expect(client.ends.count == 1 && server.ends.count <= 1, "each hears of its end once")
    }
}
