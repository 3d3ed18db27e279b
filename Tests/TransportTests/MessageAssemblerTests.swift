// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import GRPC
import HTTP2
import TestSupport
import Testing

/// A client's end of a connection to nobody, and the bytes of the DATA frames it writes.
private final class Wire: HTTP2Handler, FrameSink {
    private var session: HTTP2Session?
    private let scratch = ScratchBuffer(capacity: 20_000)
    private(set) var body: [UInt8] = []

    init() throws { session = try HTTP2Session(role: .client, options: .init(window: 1 << 20), handler: self) }

    func request() throws -> HTTP2Stream { try #require(session).request([HTTP2Header(":method", "POST")]) }

    /// Within the window that every server gives at first, 65,535 bytes.
    func drain() throws { try #require(session).drain(into: self) }

    var hasRoom: Bool { true }
    func writeControl(_ frames: RawSpan) {}
    func writeData(header: RawSpan, payload: inout BufferChain, length: Int) {
        scratch.fill { output in
            payload.takeFrame(header: header, length: length, scratch: &output) { frame in
                body += [UInt8](copying: frame.extracting(droppingFirst: header.byteCount))
            }
        }
    }

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {}
    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {}
    func ended(_ stream: HTTP2Stream) {}
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {}
    func settingsReceived() {}
    func pingAcknowledged(_ payload: UInt64) {}
    func windowUpdate(on stream: Int32, increment: Int) {}
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {}
}

/// A message sent in place is the message that `begin` makes of the same bytes.
@Suite("gRPC: messages without compression")
struct MessageAssemblerTests {
    /// A chain of segments of these sizes, each in a slab of its own.
    static func chain(_ sizes: [Int]) -> BufferChain {
        let pool = SlabPool(slabSize: 64 << 10)
        var chain = BufferChain()
        for (index, size) in sizes.enumerated() {
            [UInt8].pattern(size, from: 1000 * index).withBytes { Arena(pool: pool).append($0, to: &chain) }
        }
        return chain
    }

    /// What `begin` makes of it.
    static func message(_ head: [UInt8], _ body: borrowing BufferChain) throws -> [UInt8] {
        let arena = Arena(pool: SlabPool(slabSize: 64 << 10))
        var whole = BufferChain()
        head.withBytes { arena.append($0, to: &whole) }
        whole.append(body)
        return try #require(MessageAssembler(.identity, arena: arena).begin(whole)).toArray()
    }

    @Test(
        arguments: [0, 1, 200, 255, 256, 3000],
        [[], [1], [255], [256], [16_369], [16_375], [16_376], [10, 20_000, 1, 30_000]] as [[Int]]
    )
    func sameBytes(head: Int, sizes: [Int]) throws {
        let wire = try Wire()
        let stream = try wire.request()
        let (head, body) = ([UInt8].pattern(head, from: 5), Self.chain(sizes))
        let expected = try Self.message(head, body)
        #expect(
            [UInt8](expected.prefix(5)) == [0]
                + (0..<4).map { UInt8(truncatingIfNeeded: (head.count + body.count) >> (24 - 8 * $0)) }
        )
        let assembler = MessageAssembler(.identity, arena: Arena(pool: SlabPool(slabSize: 8192)))
        let size = head.withBytes { assembler.send($0, body, on: stream) }
        #expect(size == expected.count && stream.pendingBytes == size && !assembler.isBusy)
        try wire.drain()
        #expect(areEqual(wire.body, expected) && stream.pendingBytes == 0)
    }

    /// One message behind the other, over the ends of slabs, framed in between or not: each is whole.
    @Test(arguments: [1, 3, 100])
    func manyMessages(betweenDrains: Int) throws {
        let wire = try Wire()
        let stream = try wire.request()
        let assembler = MessageAssembler(.identity, arena: Arena(pool: SlabPool(slabSize: 4200)))
        var random = SeededRandom(seed: 12)
        var expected: [UInt8] = []
        for index in 1...50 {
            let head = random.bytes(random.int(0...1500))
            let body = Self.chain((0..<random.int(0...3)).map { _ in random.int(1...100) })
            expected += try Self.message(head, body)
            let size = head.withBytes { assembler.send($0, body, on: stream) }
            #expect(size == 5 + head.count + body.count)
            if index % betweenDrains == 0 { try wire.drain() }
        }
        try wire.drain()
        #expect(areEqual(wire.body, expected))
    }

    /// The body is shared: it may be sent again after its stream is lost.
    @Test func bodyIsNeitherCopiedNorChanged() throws {
        let wire = try Wire()
        let stream = try wire.request()
        let pool = SlabPool(slabSize: 8192)
        let assembler = MessageAssembler(.identity, arena: Arena(pool: pool))
        let body = Self.chain([30_000, 1000])
        let before = body.toArray()
        for _ in 0..<2 { _ = [1, 2, 3].withBytes { assembler.send($0, body, on: stream) } }
        #expect(pool.outstanding == 1, "prefixes and heads alone need room")
        try wire.drain()
        #expect(areEqual(body.toArray(), before))
        #expect(areEqual(wire.body, try Self.message([1, 2, 3], body) + Self.message([1, 2, 3], body)))
    }
}
