// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import FuzzSupport
import GRPC

/// What a server may send on a call: any bytes as the stream of messages, any headers.
///
/// Input: the coding and what to do with the rest, how it is cut, the rest.
@main
enum FuzzGRPC {
    static func main() {
        unsafe fuzz { bytes, count in
            var input = unsafe FuzzInput(bytes, count)
            let choice = input.byte()
            let coding = ContentCoding.allCases[Int(choice & 3)]
            let sizes = Sizes(seed: input.byte())
            switch choice >> 2 & 3 {
            case 0, 1: checkDecoder(coding, input.rest(), sizes, limit: choice & 4 == 0 ? 1 << 16 : 100)
            case 2: checkRoundTrip(coding, input.rest(), sizes)
            default: checkCall(input.rest())
            }
            return 0
        }
    }
}

/// The same messages and the same error, however the bytes are cut, and never a message over the limit.
private func checkDecoder(_ coding: ContentCoding, _ stream: [UInt8], _ sizes: Sizes, limit: Int) {
    var sizes = sizes
    let whole = Decoded([stream[...]], coding, limit: limit, budget: 1 << 20)
    let cut = Decoded(sizes.pieces(of: stream), coding, limit: limit, budget: sizes.next())
    expect(whole == cut, "\(coding): the cuts change the messages")
    for message in whole.messages { expect(message.count <= limit, "\(coding): a message over the limit") }
    // What is not compressed is plain to read.
    var at = 0
    for message in whole.messages {
        guard stream[at] == 0 else { break }
        expect(stream[(at + 5)...].starts(with: message), "another message than the one that was sent")
        at += 5 + message.count
    }
}

private func checkRoundTrip(_ coding: ContentCoding, _ bytes: [UInt8], _ sizes: Sizes) {
    var sizes = sizes
    let pool = SlabPool(slabSize: 8192)
    do {
        let arena = Arena(pool: pool)
        let assembler = MessageAssembler(coding, arena: arena)
        var stream: [UInt8] = []
        // Two messages, so that the second finds what the first left behind.
        let bodies = [Array(bytes.prefix(bytes.count / 2)), bytes]
        for body in bodies { stream += message(of: body, assembler, arena) }
        let decoded = Decoded(sizes.pieces(of: stream), coding, limit: 1 << 20, budget: 1000)
        expect(decoded.failure == nil, "\(coding): a message of our own cannot be read: \(decoded)")
        expect(decoded.messages == bodies, "\(coding): a message of our own becomes another one")
    }
    expect(pool.outstanding == 0, "\(pool.outstanding) slabs are never given back")
}

private func message(of body: [UInt8], _ assembler: MessageAssembler, _ arena: Arena) -> [UInt8] {
    var chain = BufferChain()
    arena.append(unsafe body.span.bytes, to: &chain)
    var message = assembler.begin(chain)
    while message == nil {
        expect(assembler.isBusy, "a message that is never done")
        do throws(CompressionError) {
            message = try assembler.step()
        } catch {
            fatalError("a message cannot be compressed: \(error)")
        }
    }
    return message?.toArray() ?? []
}

/// What a decoder made of a stream.
private struct Decoded: Equatable {
    var messages: [[UInt8]] = []
    var failure: MessageError?

    init(_ pieces: [ArraySlice<UInt8>], _ coding: ContentCoding, limit: Int, budget: Int) {
        var decoder = MessageDecoder(limit: limit)
        decoder.use(coding)
        do throws(MessageError) {
            for piece in pieces {
                decoder.feed(unsafe piece.span.bytes)
                try takeMessages(&decoder, limit: limit, budget: budget)
            }
            try decoder.finish()
        } catch {
            expect(!error.description.isEmpty, "an error without a description")
            failure = error
        }
    }

    private mutating func takeMessages(_ decoder: inout MessageDecoder, limit: Int, budget: Int) throws(MessageError) {
        // A step gives at least a byte or takes one; what is taken is not more than libFuzzer's largest input.
        var turns = 2 * limit + (1 << 20)
        while true {
            switch try decoder.next(budget: budget) {
            case .message(let message): messages.append(message)
            case .needsInput: return
            case .working: turns -= 1
            }
            expect(turns > 0, "the decoder does not get on")
        }
    }
}
