// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

struct ResponseParserTests {
    struct Parsed: Equatable {
        var status = 0
        var body = ""
        var isComplete = false
        var taken = 0
    }

    /// Feeds `text` in pieces of `size` bytes, and says then that the peer closed if asked to.
    static func parse(
        _ text: String,
        by size: Int,
        method: String = "GET",
        closes: Bool = false
    ) throws(HTTPError)
        -> Parsed
    {
        var parser = HTTPResponseParser(method: method)
        var result = Parsed()
        var body: [UInt8] = []
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count && !parser.isComplete {
            let piece = Array(bytes[offset..<min(offset + size, bytes.count)])
            result.taken += unsafe try parser.feed(piece.span.bytes) { part in
                unsafe part.withUnsafeBytes { unsafe body.append(contentsOf: $0) }
            }
            offset += piece.count
        }
        if closes { try parser.end() }
        result.status = parser.head?.status ?? 0
        result.body = String(decoding: body, as: UTF8.self)
        result.isComplete = parser.isComplete
        return result
    }

    /// A response, how it ends, and its body; nil when it stays incomplete.
    static let good: [(text: String, method: String, closes: Bool, status: Int, body: String)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", false, 200, "hello"),
        ("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", "GET", false, 200, ""),
        ("HTTP/1.0 200 OK\n\nuntil the end", "GET", true, 200, "until the end"),
        ("\r\nHTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "GET", false, 204, ""),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "GET", false, 304, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", false, 200, ""),
        ("HTTP/1.1 200 Connection established\r\n\r\n", "CONNECT", false, 200, ""),
        ("HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", "CONNECT", false, 407, "no"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "GET", false, 200, "x"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", "GET", false, 200, "ab"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, chunked!\r\n0\r\nT: 1\r\n\r\n",
            "GET", false, 200, "hello, chunked!"
        ),
    ]

    @Test(arguments: good.indices)
    func takesApartAtEveryCut(index: Int) throws {
        let (text, method, closes, status, body) = Self.good[index]
        for size in 1...text.utf8.count {
            let parsed = try Self.parse(text, by: size, method: method, closes: closes)
            #expect(parsed == Parsed(status: status, body: body, isComplete: true, taken: text.utf8.count))
        }
    }

    /// Nothing behind a complete response is taken.
    @Test func leavesWhatFollows() throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1"
        #expect(try Self.parse(text, by: 1000).taken == text.utf8.count - 8)
    }

    static let bad: [String] = [
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n\tfolded\r\n\r\n", "HTTP/1.1 200 OK\r\nName : value\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nX: a\u{1}b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 11_000),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + String(repeating: "x", count: 9000),
    ]

    @Test(arguments: bad)
    func refuses(text: String) {
        #expect(throws: HTTPError.self) { try Self.parse(text, by: 1000) }
        #expect(throws: HTTPError.self) { try Self.parse(text, by: 1) }
    }

    /// A body that was cut off is no success.
    @Test(arguments: [
        "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ])
    func noticesTruncation(text: String) {
        #expect(throws: HTTPError.self) { try Self.parse(text, by: 1000, closes: true) }
    }

    /// Whatever comes, it answers or refuses.
    @Test func survivesMutations() {
        var random = SystemRandomNumberGenerator()
        for round in 0..<5000 {
            var bytes = Array(Self.good[round % Self.good.count].text.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            var parser = HTTPResponseParser()
            do throws(HTTPError) {
                let taken = try unsafe parser.feed(bytes.span.bytes) { _ in }
                #expect(taken <= bytes.count)
                try parser.end()
                #expect(parser.isComplete)
            } catch {
                #expect(!error.message.isEmpty)
            }
        }
    }
}
