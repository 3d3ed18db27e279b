// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

struct ProxyEnvironmentTests {
    /// Environment, host, and the proxy for it as "host:port", with "credentials@" if there are any.
    static let table: [([String: String], String, String?)] = [
        ([:], "a", nil),
        (["http_proxy": "http://p:3128"], "a", "p:3128"),
        (["http_proxy": "p:3128"], "a", "p:3128"),
        (["http_proxy": "http://p:3128/"], "a", "p:3128"),
        (["http_proxy": "p"], "a", "p:1080"),
        (["http_proxy": "http://u:s@p:1"], "a", "u:s@p:1"),
        (["http_proxy": "http://[::1]:3128"], "a", "::1:3128"),
        (["HTTP_PROXY": "p:1"], "a", nil),
        (["all_proxy": "p:1"], "a", "p:1"),
        (["ALL_PROXY": "p:1"], "a", "p:1"),
        (["http_proxy": "q:2", "all_proxy": "p:1"], "a", "q:2"),
        (["http_proxy": "", "all_proxy": "p:1"], "a", "p:1"),
        (["http_proxy": "socks5://p:1"], "a", nil),
        (["http_proxy": "p:0"], "a", nil),
        (["http_proxy": "p:99999"], "a", nil),
        (["http_proxy": "p:1", "no_proxy": "*"], "a", nil),
        (["http_proxy": "p:1", "no_proxy": "b, a"], "a", nil),
        (["http_proxy": "p:1", "no_proxy": "example.com"], "sd.EXAMPLE.com", nil),
        (["http_proxy": "p:1", "no_proxy": ".example.com"], "sd.example.com", nil),
        (["http_proxy": "p:1", "no_proxy": "example.com"], "badexample.com", "p:1"),
        (["http_proxy": "p:1", "no_proxy": "a:8088"], "a", nil),
        (["http_proxy": "p:1", "no_proxy": "a:80"], "a", "p:1"),
        (["http_proxy": "p:1", "no_proxy": "::1"], "::1", nil),
        (["http_proxy": "p:1", "no_proxy": "[::1]:8088"], "::1", nil),
        (["http_proxy": "p:1", "NO_PROXY": "127.0.0.1"], "127.0.0.1", nil),
        (["http_proxy": "p:1", "no_proxy": ""], "a", "p:1"),
    ]

    @Test(arguments: table.indices)
    func choosesAsCurlDoes(index: Int) {
        let (environment, host, expected) = Self.table[index]
        let proxy = ProxyEnvironment(environment).proxy(forHost: host, port: 8088)
        let text = proxy.map { ($0.credentials.map { "\($0)@" } ?? "") + "\($0.host):\($0.port)" }
        #expect(text == expected, "\(environment) \(host)")
    }

    /// RFC 4648 section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func encodesCredentials(text: String, expected: String) {
        #expect(BasicAuthentication.value(text) == "Basic " + expected)
    }

    @Test func neverLetsAValueBeginAnotherLine() {
        let request = HTTPRequest(target: "/a b\r\nX: y", host: "h\n", headers: [("N\r\n", "v\r\nEvil: 1")])
        let lines = String(decoding: request.bytes, as: UTF8.self).split(
            separator: "\r\n",
            omittingEmptySubsequences: false
        )
        #expect(lines.count == 5)
    }
}
