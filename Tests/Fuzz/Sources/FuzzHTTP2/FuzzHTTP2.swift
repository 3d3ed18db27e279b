// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import FuzzSupport
import HTTP2

/// One HTTP/2 session with a hostile peer, or two sessions that talk to one another.
///
/// Input: who is there, how the bytes between them are cut, and the peer's bytes or what the two shall do.
@main
enum FuzzHTTP2 {
    static func main() {
        unsafe fuzz { bytes, count in
            var input = unsafe FuzzInput(bytes, count)
            let choice = input.byte()
            let sizes = Sizes(seed: input.byte())
            let pool = SlabPool(slabSize: 8192)
            switch choice & 7 {
            case 0: checkClient(input.rest(), sizes, pool)
            case 1: checkClient(frames(&input), sizes, pool)
            case 2: checkServer(input.rest(), sizes, pool)
            case 3: checkServer(preface + input.rest(), sizes, pool)
            case 4: checkServer(preface + frames(&input), sizes, pool)
            default: checkConversation(&input, sizes, pool)
            }
            expect(pool.outstanding == 0, "\(pool.outstanding) slabs are never given back")
            return 0
        }
    }
}

/// What a client begins with (RFC 9113 section 3.4), its SETTINGS being empty.
private let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]

/// Frames whose lengths are right, which chance would not give: type, flags, stream and length in a byte each, and the
/// payload.
private func frames(_ input: inout FuzzInput) -> [UInt8] {
    var result: [UInt8] = []
    while !input.isEmpty {
        let (type, flags, stream, length) = (input.byte(), input.byte(), input.byte(), input.byte())
        let payload = input.take(Int(length))
        result += [0, 0, UInt8(payload.count), type, flags, 0, 0, 0, stream] + payload
    }
    return result
}

private func checkClient(_ bytes: [UInt8], _ sizes: Sizes, _ pool: SlabPool) {
    let peer = Peer(.client, sizes, pool)
    peer.request(body: 300)
    peer.request(body: 40_000)
    peer.hear(bytes)
    peer.checkEnd()
}

private func checkServer(_ bytes: [UInt8], _ sizes: Sizes, _ pool: SlabPool) {
    let peer = Peer(.server, sizes, pool)
    peer.answers = true
    peer.hear(bytes)
    peer.checkEnd()
}
