// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import HTTP2
import TestSupport
import Testing

/// A frame's header (RFC 9113 section 4.1).
struct Frame: Equatable {
    enum Kind: UInt8 {
        case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate, continuation
    }

    let kind: Kind?
    let flags: UInt8
    let stream: Int
    let payload: [UInt8]

    var endsStream: Bool { flags & 1 != 0 }

    /// A frame to be fed by hand.
    static func bytes(_ kind: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
        let length = payload.count
        let head = [UInt8(length >> 16), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), kind, flags]
        return head + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * UInt32($0))) } + payload
    }

    /// All frames in what a session wrote, behind the client's preface.
    static func parse(_ bytes: [UInt8]) -> [Frame] {
        var at = bytes.starts(with: preface) ? preface.count : 0
        var frames: [Frame] = []
        while bytes.count - at >= 9 {
            let length = Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
            let stream = bytes[(at + 5)..<(at + 9)].reduce(0) { $0 << 8 | Int($1) } & 0x7fff_ffff
            let end = min(bytes.count, at + 9 + length)
            frames.append(
                Frame(
                    kind: Kind(rawValue: bytes[at + 3]),
                    flags: bytes[at + 4],
                    stream: stream,
                    payload: [UInt8](bytes[(at + 9)..<end])
                )
            )
            at = end
        }
        return frames
    }

    static let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
}

/// One end of a connection in memory: session, sink and handler in one.
final class Peer: HTTP2Handler, FrameSink {
    private var http: HTTP2Session?
    /// What the session wrote, and how much of it may wait here.
    private(set) var outgoing: [UInt8] = []
    var capacity = Int.max
    /// What was heard, a line for each event; data only counts.
    private(set) var log: [String] = []
    private(set) var bodies: [Int32: [UInt8]] = [:]
    private(set) var streams: [HTTP2Stream] = []
    /// Bytes of data that were received and whose window was not given back.
    private(set) var held = 0
    /// Called with each new request.
    var onHeaders: ((HTTP2Stream) -> Void)?
    private let scratch = ScratchBuffer(capacity: 20_000)

    init(_ role: HTTP2Session.Role, window: Int = 1 << 20, manual: Bool = false, streams: Int = 100) throws {
        http = try HTTP2Session(
            role: role,
            options: .init(window: window, manualWindow: manual, maxConcurrentStreams: streams),
            handler: self
        )
    }

    var session: HTTP2Session {
        guard let http else { preconditionFailure("made in init") }
        return http
    }

    /// Frames from the session, then they are taken.
    func take() throws -> [UInt8] {
        try session.drain(into: self)
        defer { outgoing = [] }
        return outgoing
    }

    func feed(_ bytes: [UInt8]) throws(HTTP2Error) {
        try bytes.withBytes { (bytes) throws(HTTP2Error) in try session.feed(bytes) }
    }

    func takeLog() -> [String] {
        defer { log = [] }
        return log
    }

    var hasRoom: Bool { outgoing.count < capacity }
    func writeControl(_ frames: RawSpan) { outgoing += [UInt8](copying: frames) }
    func writeData(header: RawSpan, payload: inout BufferChain, length: Int) {
        scratch.fill { output in
            outgoing += payload.takeFrame(header: header, length: length, scratch: &output) { [UInt8](copying: $0) }
        }
    }

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        let fields = headers.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        log.append("\(stream.id): \(fields)\(end ? " end" : "")")
        if !streams.contains(where: { $0 === stream }) {
            streams.append(stream)
            onHeaders?(stream)
        }
    }
    func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        bodies[stream.id, default: []] += [UInt8](copying: bytes)
        held += bytes.byteCount
    }
    func ended(_ stream: HTTP2Stream) { log.append("\(stream.id): ended") }
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) { log.append("\(stream.id): closed \(code)") }
    func settingsReceived() { log.append("settings") }
    func pingAcknowledged(_ payload: UInt64) { log.append("ping \(payload)") }
    func windowUpdate(on stream: Int32, increment: Int) { log.append("\(stream): window +\(increment)") }
    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {
        log.append("goaway \(lastStream) \(code) \(debug)")
    }

    /// Gives back all of the window that is held.
    func consumeAll(on stream: Int32) {
        session.consume(held, on: stream)
        held = 0
    }
}

/// Moves bytes in pieces of `piece` until neither end has any; what was moved, as frames.
@discardableResult
func converse(_ client: Peer, _ server: Peer, piece: Int = .max) throws -> (client: [Frame], server: [Frame]) {
    var moved: [[UInt8]] = [[], []]
    var isQuiet = false
    while !isQuiet {
        isQuiet = true
        for (index, (from, to)) in [(client, server), (server, client)].enumerated() {
            let bytes = try from.take()
            if bytes.isEmpty { continue }
            isQuiet = false
            moved[index] += bytes
            var at = 0
            while at < bytes.count {
                let end = piece < bytes.count - at ? at + piece : bytes.count
                try to.feed([UInt8](bytes[at..<end]))
                at = end
            }
        }
    }
    return (Frame.parse(moved[0]), Frame.parse(moved[1]))
}

/// A chain of `bytes` in a few segments.
func chain(_ bytes: [UInt8], slabSize: Int = 64 << 10) -> BufferChain {
    let arena = Arena(pool: SlabPool(slabSize: slabSize))
    var chain = BufferChain()
    bytes.withBytes { arena.append($0, to: &chain) }
    return chain
}

let request = [
    HTTP2Header(":method", "POST"), HTTP2Header(":scheme", "https"), HTTP2Header(":path", "/grpc.Transfer/Transfer"),
    HTTP2Header(":authority", "elkeid.com"), HTTP2Header("content-type", "application/grpc"),
]
let requestText = request.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
