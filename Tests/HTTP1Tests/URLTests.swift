// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing

struct URLTests {
    struct Parts: Equatable {
        var isSecure = false
        var host = "a"
        var port: UInt16 = 80
        var credentials: String?
        var target = "/"
        var authority = "a"
        var description = "http://a/"
    }

    static let good: [(String, Parts)] = [
        ("http://a", Parts()),
        ("http://a/", Parts()),
        ("http://a:80/", Parts()),
        ("http://a:/", Parts()),
        ("HTTP://a#fragment", Parts()),
        ("http://a:443/", Parts(port: 443, authority: "a:443", description: "http://a:443/")),
        ("http://a:65535", Parts(port: 65535, authority: "a:65535", description: "http://a:65535/")),
        ("https://a", Parts(isSecure: true, port: 443, description: "https://a/")),
        ("hTTpS://a:443", Parts(isSecure: true, port: 443, description: "https://a/")),
        ("https://a:80/", Parts(isSecure: true, port: 80, authority: "a:80", description: "https://a:80/")),
        (
            "http://Files.Example.COM/Path",
            Parts(
                host: "Files.Example.COM",
                target: "/Path",
                authority: "Files.Example.COM",
                description: "http://Files.Example.COM/Path"
            )
        ),
        ("http://a/b?c=d?e#f#g", Parts(target: "/b?c=d?e", description: "http://a/b?c=d?e")),
        ("http://a?c=d/e", Parts(target: "/?c=d/e", description: "http://a/?c=d/e")),
        ("http://a/%41%zz", Parts(target: "/%41%zz", description: "http://a/%41%zz")),
        // What is not ASCII is sent as servers expect it.
        ("http://a/\u{e9}?\u{20ac}", Parts(target: "/%C3%A9?%E2%82%AC", description: "http://a/%C3%A9?%E2%82%AC")),
        ("http://u:\u{e9}@a", Parts(credentials: "u:\u{e9}")),
        ("http://a/\u{301}", Parts(target: "/%CC%81", description: "http://a/%CC%81")),
        // What looks like credentials behind the address is none.
        ("http://a/b@c:d", Parts(target: "/b@c:d", description: "http://a/b@c:d")),
        ("http://a?b@c", Parts(target: "/?b@c", description: "http://a/?b@c")),
        ("http://a#b@c", Parts()),
        ("http://user@a", Parts(credentials: "user")),
        ("http://user:secret@a", Parts(credentials: "user:secret")),
        ("http://@a", Parts(credentials: "")),
        ("http://:@a:80", Parts(credentials: ":")),
        ("http://u:p%40s%3As%2f@a", Parts(credentials: "u:p@s:s/")),
        ("http://u:p@ss@a", Parts(credentials: "u:p@ss")),
        ("http://u:50%@a", Parts(credentials: "u:50%")),
        ("http://u:%zz%@a", Parts(credentials: "u:%zz%")),
        ("http://u:%ff@a", Parts(credentials: "u:\u{fffd}")),
        ("http://[::1]", Parts(host: "::1", authority: "[::1]", description: "http://[::1]/")),
        (
            "https://u:p@[2001:db8::1]:8443/x?y",
            Parts(
                isSecure: true,
                host: "2001:db8::1",
                port: 8443,
                credentials: "u:p",
                target: "/x?y",
                authority: "[2001:db8::1]:8443",
                description: "https://[2001:db8::1]:8443/x?y"
            )
        ),
        ("http://[::1]:", Parts(host: "::1", authority: "[::1]", description: "http://[::1]/")),
    ]

    @Test(arguments: good.indices)
    func takesApart(index: Int) throws {
        let (text, expected) = Self.good[index]
        let url = try HTTPURL(text)
        let parts = Parts(
            isSecure: url.isSecure,
            host: url.host,
            port: url.port,
            credentials: url.credentials,
            target: url.target,
            authority: url.authority,
            description: url.description
        )
        #expect(parts == expected, "\(text)")
        // What it describes itself as is the same without credentials.
        var bare = url
        bare.credentials = nil
        #expect(try HTTPURL(url.description) == bare, "\(text)")
    }

    /// What is wrong, and a part of what is said about it.
    static let bad: [(String, String)] = [
        ("", "neither with http:// nor with https://"), ("a", "neither"), ("a/b", "neither"), ("//a/b", "neither"),
        ("http:", "neither"), ("http:/a", "neither"), ("https:a", "neither"), ("httpx://a", "neither"),
        ("ftp://a/", "neither"), ("file:///etc/passwd", "neither"), ("xhttp://a/", "neither"),
        ("http://", "names no host"), ("https://", "names no host"), ("http:///x", "names no host"),
        ("http://?x", "names no host"), ("http://#x", "names no host"), ("http://:80/", "names no host"),
        ("http://u:p@/x", "names no host"), ("http://[]/", "names no host"), ("http://::1/", "names no host"),
        ("http://a b/", "blanks or control characters"), (" http://a/", "blanks or control characters"),
        ("http://a/b c", "blanks or control characters"), ("http://a/\n", "blanks or control characters"),
        ("http://a/\r\nX: y", "blanks or control characters"), ("http://a/\t", "blanks or control characters"),
        ("http://a/\u{0}", "blanks or control characters"), ("http://a/\u{7f}", "blanks or control characters"),
        ("http://a:0/", "from 1 to 65535"), ("http://a:65536/", "from 1 to 65535"),
        ("http://a:99999999999999999999/", "from 1 to 65535"), ("http://a:+80/", "from 1 to 65535"),
        ("http://a:-1/", "from 1 to 65535"), ("http://a:x/", "from 1 to 65535"), ("http://a:80x/", "from 1 to 65535"),
        ("http://a:80:80/", "from 1 to 65535"), ("http://2001:db8::1/", "from 1 to 65535"),
        ("http://a:\u{664}/", "from 1 to 65535"), ("http://[::1]80/", "from 1 to 65535"),
        ("http://[::1]x/", "no port"), ("http://[::1/", "no closing bracket"), ("http://[::1", "no closing bracket"),
    ]

    @Test(arguments: bad.indices)
    func refuses(index: Int) {
        let (text, reason) = Self.bad[index]
        let error = #expect(throws: HTTPURL.Invalid.self, "\(text)") { try HTTPURL(text) }
        #expect(error?.description.contains(reason) == true, "\(text): \(error?.description ?? "")")
    }

    @Test func refusesLongOnes() throws {
        let start = "http://a/"
        let longest = start + String(repeating: "x", count: HTTPURL.limit - start.utf8.count)
        #expect(try HTTPURL(longest).target.utf8.count == HTTPURL.limit - 8)
        #expect(throws: HTTPURL.Invalid.self) { try HTTPURL(longest + "x") }
    }

    /// Where it may be seen there is no password.
    @Test func hidesCredentials() throws {
        let url = try HTTPURL("https://user:secret@a.test:8443/x?y")
        #expect("\(url)" == "https://a.test:8443/x?y")
        #expect(!url.authority.contains("secret"))
        #expect(!url.target.contains("secret"))
    }

    // MARK: References

    /// An address, what a Location says, and what that means; RFC 3986 section 5.4 without its dots.
    static let references: [(base: String, reference: String, expected: String)] = [
        ("http://a/b/c/d;p?q", "g", "http://a/b/c/g"),
        ("http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"),
        ("http://a/b/c/d;p?q", "/g", "http://a/g"),
        ("http://a/b/c/d;p?q", "//g", "http://g/"),
        ("http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"),
        ("http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"),
        ("http://a/b/c/d;p?q", "g#s", "http://a/b/c/g"),
        ("http://a/b/c/d;p?q", "g?y#s", "http://a/b/c/g?y"),
        ("http://a/b/c/d;p?q", ";x", "http://a/b/c/;x"),
        ("http://a/b/c/d;p?q", "g;x=1?y#s", "http://a/b/c/g;x=1?y"),
        ("http://a/b?x/y", "g", "http://a/g"),
        ("http://a", "g", "http://a/g"),
        ("http://a?q", "?y", "http://a/?y"),
        ("http://a:81/b", "/g", "http://a:81/g"),
        ("https://a/b", "/g", "https://a/g"),
        ("https://a:80/b", "g", "https://a:80/g"),
        ("https://a/b", "//g:81/h", "https://g:81/h"),
        ("http://[::1]:81/b", "g", "http://[::1]:81/g"),
        ("http://a/b", "http://c/d", "http://c/d"),
        ("http://a/b", "HTTPS://C", "https://C/"),
        ("http://a/b", "\u{e9}", "http://a/%C3%A9"),
        ("http://a/b", "/\u{301}", "http://a/%CC%81"),
        ("https://a/b", "http://c", "http://c/"),
        // A colon behind a slash is no scheme.
        ("http://a/b", "g/h:i", "http://a/g/h:i"),
        ("http://a/b", "/g:i", "http://a/g:i"),
        ("http://a/b", "?x:y", "http://a/b?x:y"),
    ]

    @Test(arguments: references.indices)
    func resolves(index: Int) throws {
        let (base, reference, expected) = Self.references[index]
        let url = try HTTPURL(base).resolving(reference)
        #expect(url.description == expected, "\(reference)")
    }

    @Test(arguments: [
        "ftp://b/", "file:///etc/passwd", "mailto:a@b", "javascript:alert(1)", "data:,x", "x:y", "http:b", "//",
        "http://", "https:///x", "a b", "/\r\nX: y", "http://b:0/", "//b:x/",
    ])
    func refusesReferences(reference: String) throws {
        let base = try HTTPURL("http://a/b")
        #expect(throws: HTTPURL.Invalid.self) { try base.resolving(reference) }
    }

    /// Credentials stay with the server that they are for.
    @Test func givesCredentialsToNobodyElse() throws {
        let base = try HTTPURL("https://user:p%40ss@a:81/x")
        for reference in ["y", "/y", "?y"] { #expect(try base.resolving(reference).credentials == "user:p@ss") }
        for reference in ["//b/y", "https://b/y"] { #expect(try base.resolving(reference).credentials == nil) }
        #expect(try base.resolving("https://other@b/y").credentials == "other")
    }

    // MARK: Anything

    private func check(_ text: String) {
        do throws(HTTPURL.Invalid) {
            let url = try HTTPURL(text)
            #expect(!url.host.isEmpty && url.port > 0, "\(text)")
            #expect(url.target.utf8.first == 0x2f, "\(text)")
            #expect(url.description.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }, "\(text)")
            for reference in [text, "/x", "x", "?x", "//b"] {
                do throws(HTTPURL.Invalid) {
                    let resolved = try url.resolving(reference)
                    #expect(!resolved.host.isEmpty, "\(text) \(reference)")
                } catch {
                    #expect(!error.description.isEmpty)
                }
            }
        } catch {
            #expect(!error.description.isEmpty)
        }
    }

    /// Whatever comes, it answers or refuses.
    @Test func survivesMutations() {
        var random = SystemRandomNumberGenerator()
        let marks = Array("/:@?#[]%.-0\u{301}\u{e9}".utf8)
        for round in 0..<5000 {
            var bytes = Array(Self.good[round % Self.good.count].0.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let byte =
                    Bool.random(using: &random)
                    ? marks[Int.random(in: marks.indices, using: &random)] : UInt8.random(in: 0...255, using: &random)
                let place = Int.random(in: 0...bytes.count, using: &random)
                if place == bytes.count || Bool.random(using: &random) {
                    bytes.insert(byte, at: place)
                } else {
                    bytes[place] = byte
                }
            }
            check(String(decoding: bytes, as: UTF8.self))
        }
    }

    @Test func survivesRandomBytes() {
        var random = SystemRandomNumberGenerator()
        for round in 0..<5000 {
            var bytes: [UInt8] = round % 2 == 0 ? [] : Array("http://".utf8)
            for _ in 0..<Int.random(in: 0...60, using: &random) {
                bytes.append(UInt8.random(in: 0...255, using: &random))
            }
            check(String(decoding: bytes, as: UTF8.self))
        }
    }
}

struct SecureProxyTests {
    /// Environment, host, and the proxies for http and for https as "host:port".
    static let table: [([String: String], String, plain: String?, secure: String?)] = [
        ([:], "a", nil, nil),
        (["https_proxy": "http://p:1"], "a", nil, "p:1"),
        (["HTTPS_PROXY": "p:1"], "a", nil, "p:1"),
        (["https_proxy": "p:1", "HTTPS_PROXY": "q:2"], "a", nil, "p:1"),
        (["https_proxy": "", "HTTPS_PROXY": "q:2"], "a", nil, "q:2"),
        (["http_proxy": "p:1"], "a", "p:1", nil),
        (["HTTP_PROXY": "p:1"], "a", nil, nil),
        (["http_proxy": "p:1", "https_proxy": "q:2"], "a", "p:1", "q:2"),
        (["all_proxy": "p:1"], "a", "p:1", "p:1"),
        (["ALL_PROXY": "p:1"], "a", "p:1", "p:1"),
        (["all_proxy": "p:1", "ALL_PROXY": "q:2"], "a", "p:1", "p:1"),
        (["all_proxy": "p:1", "https_proxy": "q:2"], "a", "p:1", "q:2"),
        (["all_proxy": "p:1", "http_proxy": "q:2"], "a", "q:2", "p:1"),
        (["all_proxy": "p:1", "https_proxy": "", "http_proxy": ""], "a", "p:1", "p:1"),
        // A proxy that is not known is not replaced by another.
        (["https_proxy": "socks5://p:1", "all_proxy": "q:2"], "a", "q:2", nil),
        (["https_proxy": "p:1", "no_proxy": "a"], "a", nil, nil),
        (["https_proxy": "p:1", "no_proxy": "a"], "b", nil, "p:1"),
        (["https_proxy": "p:1", "http_proxy": "q:2", "no_proxy": "*"], "a", nil, nil),
        (["https_proxy": "p:1", "http_proxy": "q:2", "NO_PROXY": ".example.com"], "x.Example.com", nil, nil),
        (["https_proxy": "p:1", "http_proxy": "q:2", "no_proxy": "a:443"], "a", "q:2", nil),
    ]

    @Test(arguments: table.indices)
    func choosesAsCurlDoes(index: Int) {
        let (environment, host, plain, secure) = Self.table[index]
        let proxies = ProxyEnvironment(environment)
        let text = { (address: ProxyEnvironment.Address?) in address.map { "\($0.host):\($0.port)" } }
        #expect(text(proxies.proxy(forHost: host, port: 80)) == plain, "\(environment) http://\(host)")
        #expect(
            text(proxies.proxy(forHost: host, port: 443, isSecure: true)) == secure,
            "\(environment) https://\(host)"
        )
    }

    @Test func hasCredentialsForTheProxy() {
        let proxies = ProxyEnvironment(["https_proxy": "http://user:secret@p:3128/"])
        let expected = ProxyEnvironment.Address(host: "p", port: 3128, credentials: "user:secret")
        #expect(proxies.proxy(forHost: "a", port: 443, isSecure: true) == expected)
        #expect(proxies.proxy(forHost: "a", port: 443) == nil)
    }
}
