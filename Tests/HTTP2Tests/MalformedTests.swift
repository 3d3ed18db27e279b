// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP2
import TestSupport
import Testing

/// Bytes that break the protocol after a good beginning.
struct Violation: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    /// What GOAWAY says of it (RFC 9113 section 7).
    let code: UInt8

    init(_ name: String, _ bytes: [UInt8], _ code: UInt8) {
        self.name = name
        self.bytes = bytes
        self.code = code
    }

    var testDescription: String { name }

    static let protocolError: UInt8 = 1
    static let flowControlError: UInt8 = 3
    static let frameSizeError: UInt8 = 6
    static let compressionError: UInt8 = 9

    static let all = [
        Violation("DATA without a stream", Frame.bytes(0, [1]), protocolError),
        Violation("DATA of an idle stream", Frame.bytes(0, stream: 99, [1]), protocolError),
        Violation("HEADERS without a stream", Frame.bytes(1, flags: 4, [0x82]), protocolError),
        Violation(
            "frame of 16,385 bytes",
            Frame.bytes(0, stream: 1, [UInt8](repeating: 0, count: 16_385)),
            frameSizeError
        ),
        Violation("SETTINGS of 5 bytes", Frame.bytes(4, [0, 1, 0, 0, 0]), frameSizeError),
        Violation("SETTINGS of a stream", Frame.bytes(4, stream: 1), protocolError),
        Violation(
            "SETTINGS acknowledged with a payload",
            Frame.bytes(4, flags: 1, [0, 1, 0, 0, 0, 0]),
            frameSizeError
        ),
        Violation("initial window of 2^31", Frame.bytes(4, [0, 4, 0x80, 0, 0, 0]), flowControlError),
        Violation("largest frame of 1 byte", Frame.bytes(4, [0, 5, 0, 0, 0, 1]), protocolError),
        Violation("PING of 7 bytes", Frame.bytes(6, [1, 2, 3, 4, 5, 6, 7]), frameSizeError),
        Violation("PING of a stream", Frame.bytes(6, stream: 1, [1, 2, 3, 4, 5, 6, 7, 8]), protocolError),
        Violation("WINDOW_UPDATE of 0", Frame.bytes(8, [0, 0, 0, 0]), protocolError),
        Violation("WINDOW_UPDATE over 2^31 - 1", Frame.bytes(8, [0x7f, 0xff, 0xff, 0xff]), flowControlError),
        Violation("WINDOW_UPDATE of an idle stream", Frame.bytes(8, stream: 99, [0, 0, 0, 1]), protocolError),
        Violation("RST_STREAM of an idle stream", Frame.bytes(3, stream: 99, [0, 0, 0, 8]), protocolError),
        Violation("RST_STREAM of 3 bytes", Frame.bytes(3, stream: 1, [0, 0, 8]), frameSizeError),
        Violation("GOAWAY of 7 bytes", Frame.bytes(7, [0, 0, 0, 0, 0, 0, 0]), frameSizeError),
        Violation("CONTINUATION out of place", Frame.bytes(9, flags: 4, stream: 1, [0x82]), protocolError),
        Violation(
            "header block that is not HPACK",
            Frame.bytes(1, flags: 4, stream: 1, [0xff, 0xff, 0xff, 0xff]),
            compressionError
        ),
        Violation(
            "header block in pieces with another frame between",
            Frame.bytes(1, stream: 1, [0x82]) + Frame.bytes(6, [1, 2, 3, 4, 5, 6, 7, 8]),
            protocolError
        ),
        Violation("padding longer than the frame", Frame.bytes(0, flags: 8, stream: 1, [200, 1, 2]), protocolError),
    ]
}

@Suite("HTTP/2: peers that break the protocol")
struct MalformedTests {
    /// The connection ends with the reason, which the peer hears first.
    @Test(arguments: Violation.all, [3, Int.max])
    func clientRefuses(_ violation: Violation, _ piece: Int) throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        let stream = try client.session.request(request)
        try converse(client, server)
        _ = client.takeLog()
        for start in stride(from: 0, to: violation.bytes.count, by: min(piece, violation.bytes.count)) {
            let end = min(start + min(piece, violation.bytes.count), violation.bytes.count)
            try client.feed([UInt8](violation.bytes[start..<end]))
        }
        let error = #expect(throws: HTTP2Error.self) { _ = try client.take() }
        let goAway = try #require(Frame.parse(client.outgoing).last { $0.kind == .goAway })
        #expect([UInt8](goAway.payload[4..<8]) == [0, 0, 0, violation.code])
        let text = error?.description ?? ""
        #expect(text.hasPrefix("HTTP/2: ") && text.contains("_ERROR") && !text.contains("\n"))
        #expect(client.session.isFinished && client.bodies.isEmpty)
        // What comes after is not looked at.
        try client.feed(Frame.bytes(6, [1, 2, 3, 4, 5, 6, 7, 8]))
        #expect(throws: HTTP2Error.self) { _ = try client.take() }
        withExtendedLifetime(stream) {}
    }

    @Test func noViolationNoError() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try converse(client, server)
        // Unknown frame types and settings are to be ignored (RFC 9113 sections 4.1 and 6.5.2).
        try client.feed(Frame.bytes(0xbe, flags: 0xff, stream: 5, [1, 2, 3]))
        try client.feed(Frame.bytes(4, [0xff, 0xff, 0, 0, 0, 1]))
        // The acknowledgement of settings that the server never sent would only confuse it.
        let answer = try Frame.parse(client.take())
        #expect(answer.map(\.kind) == [.settings] && answer.first?.flags == 1)
        #expect(!client.session.isFinished)
        client.session.goAway(.internalError)
        try converse(client, server)
        #expect(server.log.last == "goaway 0 INTERNAL_ERROR ", "our own GOAWAY is no error of the peer")
    }

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: elkeid.com\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"])
    func serverWantsThePreface(_ text: String) throws {
        let server = try Peer(.server)
        let error = #expect(throws: HTTP2Error.self) { try server.feed([UInt8](text.utf8)) }
        #expect(error?.description.hasPrefix("HTTP/2: ") == true)
    }

    /// An HTTP/1 server that was taken for one of HTTP/2.
    @Test func clientHearsHTTP1() throws {
        let client = try Peer(.client)
        try client.feed([UInt8]("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".utf8))
        #expect(throws: HTTP2Error.self) { _ = try client.take() }
    }

    /// Random damage to a good conversation: an error or none, but never a trap; and without damage none.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func damagedBytes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let client = try Peer(.client)
        let server = try Peer(.server)
        let stream = try client.session.request(request)
        stream.append(chain([UInt8].pattern(5000)))
        try server.feed(try client.take())
        let theirs = try #require(server.streams.first)
        try server.session.respond(to: theirs, [HTTP2Header(":status", "200")], body: true)
        theirs.append(chain([UInt8].pattern(3000)))
        theirs.finish(trailers: [HTTP2Header("grpc-status", "0")])
        var bytes = try server.take()
        for _ in 0..<random.int(1...8) { bytes[random.int(0...(bytes.count - 1))] = UInt8(random.int(0...255)) }
        var at = 0
        do {
            while at < bytes.count {
                let end = min(bytes.count, at + random.int(1...500))
                try client.feed([UInt8](bytes[at..<end]))
                at = end
                _ = try client.take()
            }
        } catch {
            #expect(error is HTTP2Error, "seed \(seed)")
            #expect("\(error)".hasPrefix("HTTP/2: "), "seed \(seed)")
        }
        #expect((client.bodies[1]?.count ?? 0) <= 3000 + bytes.count, "seed \(seed)")
    }
}
