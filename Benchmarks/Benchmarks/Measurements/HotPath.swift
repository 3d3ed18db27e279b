// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import Delivery
import DevelopmentCenter
import ElkeidWire
import GRPC
import HTTP2
import Reactor
import TLS

/// The agent's way from a slab to ciphertext, without pipe and socket: the same parts in the same order, on fixed input.
final class HotPath: HTTP2Handler, FrameSink {
    /// How far a round goes.
    enum Stage: String, CaseIterable {
        /// The frames are copied into a slab, as read(2) would.
        case copy
        /// … and checked and spliced.
        case splice
        /// … and queued, taken and confirmed.
        case chain
        /// Only encrypted, in records of 16 KiB.
        case tls
        /// All of it: spliced, queued, framed, encrypted, confirmed.
        case http2
    }

    static let messageSize = 256 << 10
    /// What a server on a fast link leaves unconfirmed.
    static let unconfirmed: UInt64 = 2 << 20

    private let frames: [UInt8]
    /// Records in one round, and the bytes of the frames.
    let records: Int
    var bytes: Int { frames.count }

    private let session: TLSSession
    private let arena = Arena(pool: SlabPool())
    private let outbox = Outbox()
    private let lane: Lane
    private var splicer = FrameSplicer(messageSize: HotPath.messageSize)
    private let assembler: MessageAssembler
    private let gather = ScratchBuffer(capacity: TLSSession.recordSize)
    private var header: [UInt8] = []
    private var http: HTTP2Session?
    private var stream: HTTP2Stream?
    private var offset: UInt64 = 0
    private var counted: UInt64 = 0

    private let unconfirmed: UInt64

    /// - Parameters:
    ///   - size: bytes of each record.
    ///   - unconfirmed: bytes of messages that are kept behind the last one written.
    init(recordSize size: Int = 600, unconfirmed: UInt64 = HotPath.unconfirmed) throws {
        self.unconfirmed = unconfirmed
        let frame = Self.frame(size)
        records = max(1, (SlabPool.defaultSlabSize - Slab.margin) / frame.count)
        frames = Array(repeatElement(frame, count: records).joined())
        session = try Self.secured()
        lane = outbox.addLane(name: "plugin")
        assembler = MessageAssembler(.identity, arena: arena)
        var writer = WireWriter()
        PackagedDataHeader(agentID: "benchmark", hostname: "host", version: "1.0.0.0", product: "elkeid-agent")
            .encode(into: &writer)
        header = writer.bytes
        let http = try HTTP2Session(role: .client, options: HTTP2Session.Options(window: 1 << 20), handler: self)
        // SETTINGS with the largest window for streams, and as much for the connection (RFC 9113 sections 6.5, 6.9).
        let limits: [UInt8] =
            [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff]
            + [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0, 0]
        try http.feed(unsafe limits.span.bytes)
        let headers = ClientCall.requestHeaders(
            path: "/grpc.Transfer/Transfer",
            authority: "127.0.0.1:1",
            coding: .identity,
            userAgent: "benchmark"
        )
        stream = try http.request(headers)
        self.http = http
    }

    /// One slab's worth. gates.sh counts within this function, by its name.
    @inline(never)
    func round(_ stage: Stage) throws {
        guard stage != .tls else { return encryptOnly() }
        let frames = self.frames
        guard let slab = arena.slab(room: frames.count) else { throw RigError("no slab") }
        let segment = unsafe slab.append(frames.span.bytes)
        guard stage != .copy else { return }
        try splicer.splice(segment, arena: arena) { batch in
            if stage != .splice { self.outbox.enqueue(batch, on: self.lane) }
        }
        guard stage != .splice else {
            _ = splicer.cut()
            return
        }
        outbox.received(accepted: splicer.accepted - counted, malformed: 0, on: lane)
        counted = splicer.accepted
        if let batch = splicer.cut() { outbox.enqueue(batch, on: lane) }
        while let batch = outbox.next() {
            offset += UInt64(batch.byteCount)
            if stage == .http2, let stream {
                _ = assembler.send(unsafe header.span.bytes, batch.records.bytes, on: stream)
            }
            outbox.sent(batch, end: offset)
            if stage == .http2 {
                while http?.wantsToWrite == true {
                    try http?.drain(into: self)
                    session.outgoing.removeFirst(session.outgoing.count)
                }
            }
            outbox.confirm(upTo: offset - min(offset, unconfirmed))
        }
    }

    private func encryptOnly() {
        let frames = self.frames
        let bytes = unsafe frames.span.bytes
        var start = 0
        while start < frames.count {
            let end = min(start + TLSSession.recordSize, frames.count)
            _ = session.write(bytes.extracting(start..<end))
            if !session.canWrite { session.outgoing.removeFirst(session.outgoing.count) }
            start = end
        }
        session.outgoing.removeFirst(session.outgoing.count)
    }

    func end() { outbox.dropAll(.stopped) }

    // MARK: FrameSink

    var hasRoom: Bool { session.canWrite }
    func writeControl(_ frames: RawSpan) { _ = session.write(frames) }
    func writeData(header: RawSpan, payload: inout BufferChain, length: Int) {
        payload.lendFrame(header: header, length: length, scratch: gather) { _ = session.write($0) }
    }

    // MARK: HTTP2Handler: the peer says nothing

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {}
    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {}
    func ended(_ stream: HTTP2Stream) {}
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {}
    func settingsReceived() {}
    func pingAcknowledged(_ payload: UInt64) {}
    func windowUpdate(on stream: Int32, increment: Int) {}
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {}

    // MARK: Input

    /// A frame of a record of `size` bytes, as a plugin writes it.
    private static func frame(_ size: Int) -> [UInt8] {
        var frame: [UInt8] = []
        var value = max(0, size - 40)
        while frame.count != size + 4 && value < size {
            var builder = RecordBuilder()
            builder.begin(dataType: 59, timestamp: 1_700_000_000)
            builder.append("argv", String(repeating: "x", count: value))
            var writer = WireWriter()
            builder.encode(into: &writer, framing: .pipe)
            frame = writer.bytes
            value += 1
        }
        return frame
    }

    /// One end of a secured connection whose other end exists no more.
    private static func secured() throws -> TLSSession {
        let path = try Folder.temporary("elkeid-bench-path")
        defer { Folder.remove(path) }
        let folder = CertificateFolder(path)
        try folder.make()
        let client = try TLSSession(try TLSContext(role: .client, files: folder.client), serverName: "elkeid.com")
        let server = try TLSSession(try TLSContext(role: .server, files: folder.server))
        _ = client.handshake()
        for _ in 0..<4 {
            converse(from: client, to: server)
            converse(from: server, to: client)
        }
        guard client.isHandshakeComplete else { throw RigError("the TLS handshake is not complete") }
        return client
    }

    private static func converse(from: TLSSession, to: TLSSession) {
        guard !from.outgoing.isEmpty else { return }
        from.outgoing.withBytes { bytes in to.receive(bytes) { _ = to.handshake() } }
        from.outgoing.removeFirst(from.outgoing.count)
    }
}
