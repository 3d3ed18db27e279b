// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import FuzzSupport
import HTTP2

/// A client and a server of ours do what the input says, byte by byte of it; then everything that is on its way
/// arrives, and each must have received what the other sent.
func checkConversation(_ input: inout FuzzInput, _ sizes: Sizes, _ pool: SlabPool) {
    let client = Peer(.client, sizes, pool)
    let server = Peer(.server, sizes, pool)
    var pings: [UInt64] = []
    var broken: Set<Int32> = []
    var leaving = false
    while !input.isEmpty {
        let action = input.byte()
        let count = Int(input.byte())
        let (peer, other) = action & 0x80 == 0 ? (client, server) : (server, client)
        let stream = peer.streams.isEmpty ? nil : peer.streams[count % peer.streams.count]
        switch action & 0x0f {
        case 0: if !leaving { client.request(body: count * 8) }
        case 1, 2, 3: other.take(peer.takeFrames())
        case 4, 5:
            if let stream, canAppend(stream, peer === server) { peer.append(count * 50, to: stream) }
        case 6:
            if let stream, canAppend(stream, peer === server) {
                stream.finish(trailers: peer === server ? [HTTP2Header("grpc-status", "0")] : [])
                (stream.context as? Peer.Exchange)?.hasFinished = true
            }
        case 7:
            if let stream, !stream.isClosed, count > 200 {
                stream.reset()
                broken.insert(stream.id)
            }
        case 8:
            if pings.count < 100, peer === client {
                pings.append(UInt64(pings.count))
                client.ping(pings.last ?? 0)
            }
        case 9:
            if count > 250, peer === server {
                server.goAway()
                leaving = true
            }
        case 10:
            if peer === server, let stream, !stream.isClosed, let exchange = stream.context as? Peer.Exchange,
                !exchange.hasAnswered
            {
                exchange.hasAnswered = true
                server.answer(stream, size: max(1, count))
            }
        default: break
        }
        let failures = [client.failure, server.failure].compactMap { $0?.description }
        expect(failures.isEmpty, "two of ours break the protocol: \(failures)")
    }
    settle(client, server)
    expect(client.failure == nil && server.failure == nil, "two of ours break the protocol")
    client.checkEnd()
    server.checkEnd()
    guard !leaving else { return }
    expect(client.acknowledgedPings == pings, "pings \(pings), acknowledged \(client.acknowledgedPings)")
    checkDelivery(client, server, except: broken)
}

private func canAppend(_ stream: HTTP2Stream, _ isServer: Bool) -> Bool {
    guard !stream.isClosed, let exchange = stream.context as? Peer.Exchange else { return false }
    return !exchange.hasFinished && (!isServer || exchange.hasAnswered)
}

/// Until neither has anything to say.
private func settle(_ client: Peer, _ server: Peer) {
    while client.failure == nil, server.failure == nil {
        let up = client.takeFrames()
        server.take(up)
        let down = server.takeFrames()
        client.take(down)
        if up.isEmpty && down.isEmpty { return }
    }
}

private func checkDelivery(_ client: Peer, _ server: Peer, except broken: Set<Int32>) {
    for stream in client.streams where !broken.contains(stream.id) {
        // The server refuses what was opened beyond its limit before the client knew that limit.
        guard let asked = stream.context as? Peer.Exchange, !asked.wasReset else { continue }
        guard let other = server.streams.first(where: { $0.id == stream.id }),
            let answered = other.context as? Peer.Exchange
        else {
            expect(stream.framedBytes == 0, "a request that never arrived")
            continue
        }
        expect(answered.received == asked.sent, "the server received \(answered.received.count) of \(asked.sent.count)")
        expect(asked.received == answered.sent, "the client received \(asked.received.count) of \(answered.sent.count)")
        expect(answered.peerEnded == asked.hasFinished, "the server has not heard of the end")
        expect(asked.peerEnded == answered.hasFinished, "the client has not heard of the end")
    }
}
