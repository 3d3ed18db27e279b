// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Testing

@Suite
struct HTTPRequestTests {
    private static func parse(_ text: String) -> HTTPRequestParser.Outcome {
        HTTPRequestParser.parse(Array(text.utf8))
    }

    /// Requests and the status that refuses them; nil for those that are not complete.
    static let refused: [(String, Int?)] = [
        ("", nil), ("GET / HTTP/1.1\r\nHost: a\r\n", nil), ("\r\nGET /", nil),
        ("GET /\r\n\r\n", 400), ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", 400), ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("GET nothing HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", 400), ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\r\n", 400), ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 413),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505), ("GET / HTTP/11\r\nHost: a\r\n\r\n", 400),
        ("GET / FTP/1.1\r\nHost: a\r\n\r\n", 400), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /" + String(repeating: "a", count: 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        ("GET /" + String(repeating: "a", count: 17000), 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 17000) + "\r\n\r\n", 431),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "a", count: 17000), 431),
    ]

    @Test(arguments: refused)
    func wrongRequestsAreRefused(_ text: String, _ status: Int?) {
        switch Self.parse(text) {
        case .incomplete: #expect(status == nil, "\(text)")
        case .failure(let failure): #expect(failure.code == status, "\(text)")
        case .request(let request, _): Issue.record("\(text) was taken for \(request)")
        }
    }

    @Test
    func partsAreDecoded() throws {
        let text =
            "\r\nGET /a%20b/%C3%A4?name=hids_svr_grpc&x=1+2%26&flag HTTP/1.1\r\nHOST:\t h:1 \r\nRange: bytes=0-\r\n\r\n"
        guard case .request(let request, let length) = Self.parse(text + "GET") else {
            Issue.record("not parsed")
            return
        }
        #expect(length == text.utf8.count)
        #expect(request.method == .get)
        #expect(request.path == "/a b/\u{e4}")
        #expect(request.query == [.init("name", "hids_svr_grpc"), .init("x", "1 2&"), .init("flag", "")])
        #expect(request.field("host") == "h:1")
        #expect(request.field("range") == "bytes=0-")
        #expect(request.keepsAlive)
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: x, Close\r\n", false), ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true), ("HTTP/1.1", "Content-Length: 0\r\n", true),
    ])
    func connectionIsKeptAsAsked(_ version: String, _ field: String, _ keeps: Bool) {
        guard case .request(let request, _) = Self.parse("HEAD http://h/p \(version)\r\nHost: h\r\n\(field)\r\n") else {
            Issue.record("not parsed")
            return
        }
        #expect(request.method == .head)
        #expect(request.path == "/p")
        #expect(request.keepsAlive == keeps)
    }

    /// However a request is cut, it is incomplete until its last byte.
    @Test
    func everyPrefixIsIncomplete() {
        let bytes = Array("GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n".utf8)
        for count in 0..<bytes.count {
            #expect(HTTPRequestParser.parse(Array(bytes[..<count])) == .incomplete)
        }
    }

    static let ranges: [(String?, Int, ByteRange)] = [
        (nil, 10, .whole), ("bytes=0-3", 10, .part(0..<4)), ("bytes=4-", 10, .part(4..<10)),
        ("bytes=-3", 10, .part(7..<10)), ("bytes=-30", 10, .part(0..<10)), ("bytes=0-99", 10, .part(0..<10)),
        ("bytes=9-9", 10, .part(9..<10)), ("bytes=10-", 10, .unsatisfiable), ("bytes=-0", 10, .unsatisfiable),
        ("bytes=0-", 0, .unsatisfiable), ("bytes=-1", 0, .unsatisfiable), ("bytes=5-4", 10, .whole),
        ("bytes=-", 10, .whole), ("bytes=", 10, .whole), ("bytes=a-b", 10, .whole), ("bytes=0-1,3-4", 10, .whole),
        ("lines=0-1", 10, .whole), ("BYTES=1-1", 10, .part(1..<2)), ("bytes=+1-2", 10, .whole),
        ("bytes=99999999999999999999-", 10, .unsatisfiable), ("bytes=0-99999999999999999999", 10, .part(0..<10)),
    ]

    @Test(arguments: ranges)
    func rangesAreUnderstood(_ field: String?, _ size: Int, _ expected: ByteRange) {
        #expect(ByteRange(field, size: size) == expected)
    }
}
