// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Net
import Testing

struct ConnectProxyTests {
    /// True: the tunnel is open; false: more is needed; nil: refused.
    private static func verdict(_ answer: String, by size: Int) -> (open: Bool?, reason: String) {
        var exchange = ConnectExchange(target: "ac.example.com:6751", credentials: nil)
        let bytes = Array(answer.utf8)
        var open = false
        for start in stride(from: 0, to: bytes.count, by: size) {
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            do throws(ConnectExchange.Refusal) {
                open = try unsafe exchange.received(piece.span.bytes)
            } catch {
                return (nil, error.description)
            }
        }
        return (open, "")
    }

    static let answers: [(String, Bool?, String)] = [
        ("HTTP/1.1 200 Connection established\r\n\r\n", true, ""),
        ("HTTP/1.0 200 OK\r\nVia: x\r\nContent-Length: 5\r\n\r\n", true, ""),
        ("HTTP/1.1 200 OK\r\n", false, ""), ("", false, ""),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", nil,
            "the proxy refused: 407 Proxy Authentication Required; "
                + "set `proxy = http://user:password@host:port` in section [transfer]"
        ),
        ("HTTP/1.1 503 Busy\r\n\r\n", nil, "the proxy refused: 503 Busy"),
        (
            "220 mail ESMTP\r\n\r\n", nil,
            "the proxy's answer makes no sense: the peer does not speak HTTP: its first line is no status line"
        ),
    ]

    @Test(arguments: answers.indices)
    func judgesAtEveryCut(index: Int) {
        let (answer, open, reason) = Self.answers[index]
        for size in 1...max(1, answer.utf8.count) {
            let verdict = Self.verdict(answer, by: size)
            #expect(verdict.open == open)
            #expect(verdict.reason == reason)
        }
    }

    /// The far end speaks when spoken to: what comes with the answer is not of it.
    @Test func refusesWhatComesAhead() {
        let answer = "HTTP/1.1 200 OK\r\n\r\n\u{16}"
        #expect(Self.verdict(answer, by: 1000).reason == "the proxy sent more than its answer")
    }

    @Test func asksWithCredentials() {
        let exchange = ConnectExchange(target: "[::1]:6751", credentials: "user:secret")
        #expect(
            String(decoding: exchange.request, as: UTF8.self)
                == "CONNECT [::1]:6751 HTTP/1.1\r\nHost: [::1]:6751\r\nUser-Agent: elkeid-agent-swift\r\n"
                + "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
        )
    }
}
