// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Net
import Reactor
import Syscalls
import TLS
import TestSupport
import Testing

@Suite("TLS over sockets")
struct ConnectionTests {
    @Test(arguments: ["ordinary", "ordinary-ec", "elkeid"], [TLSContext.Version.tls12, .tls13])
    func securedAndClosed(_ set: String, _ version: TLSContext.Version) throws {
        let pair = try Pair(client: set, server: set, maximum: version)
        #expect(pair.client.connection?.isOpen == true && pair.client.connection?.isSecured == false)
        #expect(pair.client.connection?.canWrite == false)
        try pair.secure()
        let connection = try #require(pair.client.connection)
        #expect(connection.isSecured && connection.tlsVersion == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        #expect(connection.localAddress == pair.server.connection?.remoteAddress && connection.localAddress != nil)
        pair.client.send([1, 2, 3])
        pair.server.send([4])
        try pair.reactor.run { pair.client.received.count == 1 && pair.server.received.count == 3 }
        #expect(pair.server.received == [1, 2, 3] && pair.client.received == [4])
        connection.close(.local("done"))
        #expect(!connection.isOpen && !connection.canWrite && connection.localAddress == nil)
        try pair.reactor.run { !pair.server.ends.isEmpty }
        #expect(pair.client.ends == [.local("done")] && pair.server.ends == [.peerClosed])
        connection.close(.local("again"))
        connection.requestRefill()
        try pair.reactor.turn(wait: false)
        pair.finish()
    }

    /// Megabytes in both directions; `refill` is asked for only when the kernel has taken everything.
    @Test(arguments: [16384, 1000, 7])
    func largeTransfer(recordSize: Int) throws {
        let size = recordSize == 7 ? 300_000 : 8 << 20
        let pair = try Pair()
        try pair.secure()
        let up = [UInt8].pattern(size)
        let down = [UInt8].pattern(size, from: 12_345)
        pair.client.recordSize = recordSize
        pair.server.recordSize = recordSize
        pair.client.send(up)
        pair.server.send(down)
        try pair.reactor.run { pair.client.received.count >= size && pair.server.received.count >= size }
        let same = areEqual(pair.server.received, up) && areEqual(pair.client.received, down)
        #expect(same)
        let sent = try #require(pair.client.connection).bytesSent
        #expect(sent == pair.server.connection?.bytesReceived && sent > UInt64(size))
        // Each refill but the last few gathers a write of 128 KiB.
        #expect(pair.client.refills >= Int(sent) / (TLSSession.gatherSize + 17_000))
        pair.finish()
    }

    /// A peer that reads nothing: what waits stays within bounds, and no more is asked for until it reads.
    @Test func peerThatDoesNotRead() throws {
        let loop = try Reactor()
        let other = try Reactor()
        let client = Owner()
        let server = Owner()
        // The server is on a loop of its own, which turns only when this test says so.
        let session = try TLSSession(try context(.server, "ordinary"))
        let listener = try Listener(other) { descriptor in
            server.connection = TLSConnection.serve(
                descriptor,
                session: session,
                reactor: other,
                limit: patience,
                handler: server
            )
        }
        client.connection = try TLSConnection.connect(
            to: listener.address,
            session: try TLSSession(try context(.client, "ordinary"), serverName: "elkeid.com"),
            reactor: loop,
            limit: patience,
            handler: client
        )
        while !client.isSecured || !server.isSecured {
            try loop.turn(wait: false)
            try other.turn(wait: false)
        }
        let size = 64 << 20
        client.send([UInt8].pattern(size))
        // Until the kernel's buffers are full: then there is neither a refill nor an event.
        var refills = -1
        var events: UInt64 = 0
        while client.refills != refills || loop.statistics.events != events {
            (refills, events) = (client.refills, loop.statistics.events)
            try loop.turn(wait: false)
        }
        #expect(!client.outgoing.isEmpty && client.refills > 1)
        #expect(server.received.isEmpty && client.connection?.isOpen == true)
        while server.received.count < size {
            try other.turn(wait: false)
            try loop.turn(wait: false)
        }
        let same = areEqual(server.received, [UInt8].pattern(size))
        #expect(same && client.outgoing.isEmpty)
        client.connection?.close(.local("end"))
        server.connection?.close(.local("end"))
        listener.close()
        #expect(loop.sourceCount == 0 && other.sourceCount == 0)
    }

    @Test func refill() throws {
        let pair = try Pair()
        try pair.secure()
        for _ in 0..<5 { try pair.reactor.turn(wait: false) }
        let idle = pair.client.refills
        for _ in 0..<5 { try pair.reactor.turn(wait: false) }
        #expect(pair.client.refills == idle, "no refill without a reason")
        pair.client.connection?.requestRefill()
        pair.client.connection?.requestRefill()
        #expect(pair.client.refills == idle, "not within the call")
        try pair.reactor.turn(wait: false)
        #expect(pair.client.refills == idle + 1, "asked for twice, once a turn")
        // What is written in a refill is taken by the kernel, which is told by the next one.
        pair.client.send([UInt8](repeating: 1, count: 100_000))
        try pair.reactor.turn(wait: false)
        #expect(pair.client.refills == idle + 3 && pair.client.outgoing.isEmpty)
        try pair.reactor.run { pair.server.received.count == 100_000 }
        // Idle again: no event is left, and none comes.
        for _ in 0..<3 { try pair.reactor.turn(wait: false) }
        let before = pair.reactor.statistics.events
        for _ in 0..<10 { try pair.reactor.turn(wait: false) }
        #expect(pair.reactor.statistics.events == before)
        pair.finish()
    }

    /// A handler may close from within any call, and hears nothing afterwards.
    @Test(arguments: ["secured", "received"])
    func closedFromWithin(_ place: String) throws {
        let pair = try Pair()
        let close = { [weak client = pair.client] in client?.connection?.close(.local(place)) ?? () }
        if place == "secured" { pair.client.onSecured = close } else { pair.client.onReceived = close }
        try pair.reactor.run { !pair.client.ends.isEmpty || pair.server.isSecured }
        if place == "received" {
            pair.server.send([UInt8](repeating: 7, count: 50_000))
            try pair.reactor.run { !pair.client.ends.isEmpty }
            #expect(pair.client.received.count <= TLSSession.recordSize, "one record, then no more")
        }
        #expect(pair.client.ends == [.local(place)])
        try pair.reactor.run { !pair.server.ends.isEmpty }
        pair.finish()
    }
}
