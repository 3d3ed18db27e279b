// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1

/// An HTTP proxy through which connections go by CONNECT (RFC 9110 section 9.3.6).
public struct Proxy: Hashable, Sendable {
    public var host: String
    public var port: UInt16
    /// "user:password".
    public var credentials: String?

    public init(host: String, port: UInt16, credentials: String? = nil) {
        self.host = host
        self.port = port
        self.credentials = credentials
    }
}

/// What is said to a proxy, and whether its answer opens the tunnel. Bytes in, verdict out.
public struct ConnectExchange: Sendable {
    /// What to send.
    public let request: [UInt8]
    private var parser = HTTPResponseParser(method: "CONNECT")

    /// - Parameter target: "host:port", with brackets around IPv6.
    public init(target: String, credentials: String?) {
        var headers = [(name: "User-Agent", value: "elkeid-agent-swift")]
        if let credentials { headers.append(("Proxy-Authorization", BasicAuthentication.value(credentials))) }
        request = HTTPRequest("CONNECT", target: target, host: target, headers: headers).bytes
    }

    public struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Takes bytes of the answer in. True when the tunnel is open; nothing may have come behind the answer then, since
    /// the far end speaks only when spoken to.
    public mutating func received(_ bytes: RawSpan) throws(Refusal) -> Bool {
        let taken: Int
        do throws(HTTPError) {
            taken = try parser.feed(bytes) { _ in }
        } catch {
            throw Refusal(description: "the proxy's answer makes no sense: \(error)")
        }
        guard let head = parser.head else { return false }
        guard (200...299).contains(head.status) else {
            let remedy =
                head.status == 407 ? "; set `proxy = http://user:password@host:port` in section [transfer]" : ""
            throw Refusal(description: "the proxy refused: \(head.status) \(head.reason)\(remedy)")
        }
        guard taken == bytes.byteCount else {
            throw Refusal(description: "the proxy sent more than its answer")
        }
        return true
    }
}
