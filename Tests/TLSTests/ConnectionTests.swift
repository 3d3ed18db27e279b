// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import TLS
import TestSupport
import Testing

@Suite("TLS: connections")
struct ConnectionTests {
    /// The odd certificates that Elkeid makes, and ordinary ones, with both versions.
    @Test(arguments: ["elkeid", "elkeid-other", "ordinary", "ordinary-ec"], [TLSContext.Version.tls12, .tls13])
    func certificatesConnect(_ name: String, _ version: TLSContext.Version) throws {
        let (client, server) = try connected(client: name, server: name, version: version)
        #expect(client.isSecured && server.isSecured && client.error == nil && server.error == nil)
        #expect(client.session.isHandshakeComplete && server.session.isHandshakeComplete)
        #expect(client.session.version == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        #expect(client.session.version == server.session.version)
        #expect(client.write([1, 2, 3][...]) == .bytes(3) && server.write([9][...]) == .bytes(1))
        converse(client, server)
        #expect(server.plaintext == [1, 2, 3] && client.plaintext == [9])
    }

    @Test func newestVersionIsChosen() throws {
        let (client, _) = try connected(client: "ordinary", server: "ordinary")
        #expect(client.session.version == "TLSv1.3")
    }

    @Test(arguments: [TLSContext.Version.tls12, .tls13], [1, 5, 100])
    func ciphertextInSmallPieces(_ version: TLSContext.Version, _ piece: Int) throws {
        let (client, server) = try connected(client: "elkeid", server: "elkeid", version: version, piece: piece)
        #expect(client.isSecured && server.isSecured)
        let bytes = [UInt8].pattern(40_000)
        for start in stride(from: 0, to: bytes.count, by: 10_000) {
            #expect(client.write(bytes[start..<(start + 10_000)]) == .bytes(10_000))
        }
        converse(client, server, piece: piece)
        #expect(server.plaintext == bytes)
        client.session.close()
        converse(client, server, piece: piece)
        #expect(server.isClosed && server.error == nil)
    }

    /// 1 MiB in both directions at once, each end writing as long as it may, the sockets taking odd amounts.
    @Test(arguments: [TLSContext.Version.tls12, .tls13])
    func largeTransferBothWays(_ version: TLSContext.Version) throws {
        let (client, server) = try connected(client: "ordinary", server: "ordinary", version: version)
        let messages = [[UInt8].pattern(1 << 20), [UInt8].pattern(1 << 20, from: 77)]
        var sent = [0, 0]
        var random = SeededRandom(seed: 20)
        while client.plaintext.count < 1 << 20 || server.plaintext.count < 1 << 20 {
            for (index, end) in [client, server].enumerated() {
                // Refilled when it is empty, as the driver does.
                if end.session.outgoing.isEmpty {
                    while end.session.canWrite && sent[index] < 1 << 20 {
                        let count = min(random.oneIn(3) ? random.int(1...16384) : 16384, (1 << 20) - sent[index])
                        try #require(end.write(messages[index][sent[index]..<(sent[index] + count)]) == .bytes(count))
                        sent[index] += count
                    }
                    #expect(end.session.outgoing.count < TLSSession.gatherSize + 17_000)
                }
                let other = index == 0 ? server : client
                other.receive(end.takeOutgoing(random.int(1...100_000)))
            }
        }
        #expect(server.plaintext == messages[0] && client.plaintext == messages[1])
        #expect(client.error == nil && server.error == nil)
    }

    /// A record is taken whole or not at all, and there is room for it whenever `canWrite` says so.
    @Test func gatheringEndsWhereAWriteIsLargeEnough() throws {
        let (client, server) = try connected(client: "ordinary", server: "ordinary")
        let record = [UInt8].pattern(TLSSession.recordSize)
        var records = 0
        while client.session.canWrite {
            #expect(client.write(record[...]) == .bytes(record.count))
            records += 1
        }
        #expect(records == TLSSession.gatherSize / record.count, "as much ciphertext, and a bit")
        #expect(client.session.outgoing.count >= TLSSession.gatherSize)
        #expect(client.write([]) == .bytes(0))
        // A socket that takes little by little does not make room: the queue is refilled when it is empty.
        while client.session.outgoing.count > 10 {
            let part = client.takeOutgoing(min(7000, client.session.outgoing.count - 10))
            server.receive(part)
        }
        server.receive(client.takeOutgoing())
        #expect(client.session.canWrite && client.session.outgoing.isEmpty)
        #expect(server.plaintext.count == TLSSession.gatherSize)
    }

    @Test(arguments: [TLSContext.Version.tls12, .tls13])
    func closeNotify(_ version: TLSContext.Version) throws {
        let (client, server) = try connected(client: "ordinary", server: "ordinary", version: version)
        #expect(client.write([5][...]) == .bytes(1))
        client.session.close()
        converse(client, server)
        #expect(server.plaintext == [5] && server.isClosed && server.error == nil)
        #expect(!client.isClosed)
        server.session.close()
        converse(client, server)
        #expect(client.isClosed && client.error == nil)
    }

    @Test(arguments: [0, 5, 30])
    func damagedCiphertextIsRefused(_ at: Int) throws {
        let (client, server) = try connected(client: "ordinary", server: "ordinary")
        #expect(client.write([UInt8].pattern(100)[...]) == .bytes(100))
        var bytes = client.takeOutgoing()
        bytes[at] ^= 0x80
        server.receive(bytes)
        #expect(server.error?.kind == .protocolViolation && server.plaintext == [])
        converse(client, server)
        #expect(client.error?.kind == .alert, "the peer is told")
    }
}
