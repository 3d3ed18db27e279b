// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// An address to connect to: a name or an IP literal, and a port.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    public let host: String
    public let port: UInt16

    /// Takes apart `name:port`, `1.2.3.4:port` or `[v6]:port`; nil if it is none of these.
    public init?(_ text: String) {
        guard let endpoint = try? Endpoint(parsing: text) else { return nil }
        self = endpoint
    }

    /// An endpoint of a host (IPv6 without brackets) and a port; nil if one of them is not valid.
    public init?(host: String, port: Int) {
        guard let port = UInt16(exactly: port), port != 0 else { return nil }
        guard Self.isIPv6(host) || Self.isIPv4(host) || Self.isName(host) else { return nil }
        self.host = host
        self.port = port
    }

    /// The same form that is parsed, with brackets around IPv6.
    public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// Whether the host is an IPv6 literal; a name never contains a colon.
    public var isIPv6: Bool { host.utf8.contains(UInt8(ascii: ":")) }

    init(parsing text: String) throws(Problem) {
        let form = "write host:port, with brackets around IPv6: [2001:db8::1]:6751"
        let colon = UInt8(ascii: ":")
        guard !text.utf8.contains(UInt8(ascii: "/")) else {
            throw Problem("\(quoted(text)) is a URL or a path", remedy: "write host:port only")
        }
        guard let last = text.utf8.lastIndex(of: colon) else {
            throw Problem("\(quoted(text)) has no port", remedy: form)
        }
        let before = text[..<last]
        let digits = text[text.utf8.index(after: last)...]
        let host: String
        if before.utf8.first == UInt8(ascii: "["), before.utf8.last == UInt8(ascii: "]") {
            host = String(before.dropFirst().dropLast())
            guard Self.isIPv6(host) else {
                throw Problem("\(quoted(before)) is not an IPv6 address", remedy: form)
            }
        } else {
            host = String(before)
            guard !host.utf8.contains(colon), host.utf8.first != UInt8(ascii: "[") else {
                throw Problem("\(quoted(text)) is not host:port", remedy: form)
            }
            guard Self.isIPv4(host) || Self.isName(host) else {
                throw Problem("\(quoted(host)) is not a host name or address", remedy: form)
            }
        }
        // Only digits: a sign would pass as a number too.
        guard digits.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
            let port = UInt16(digits), port != 0
        else {
            throw Problem("\(quoted(digits)) is not a port", remedy: "write a port from 1 to 65535")
        }
        self.host = host
        self.port = port
    }

    private static func isIPv4(_ host: String) -> Bool {
        // A NUL would end the C string early and hide what follows it.
        guard !host.utf8.contains(0) else { return false }
        var address = in_addr()
        return unsafe inet_pton(AF_INET, host, &address) == 1
    }

    private static func isIPv6(_ host: String) -> Bool {
        guard !host.utf8.contains(0) else { return false }
        var address = in6_addr()
        return unsafe inet_pton(AF_INET6, host, &address) == 1
    }

    /// RFC 1123 section 2.1 with `_` tolerated: labels of 1 to 63 letters, digits and inner hyphens, 253 bytes in all,
    /// and a last label that is not a number, or `10.0.0.256` would pass for a name.
    private static func isName(_ host: String) -> Bool {
        guard !host.isEmpty, host.utf8.count <= 253 else { return false }
        var labels = host.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
        let hyphen = UInt8(ascii: "-")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return labels.allSatisfy { label in
            (1...63).contains(label.count) && label.allSatisfy(isNameByte) && label.first != hyphen
                && label.last != hyphen
        } && labels.last.map { !$0.allSatisfy(digits.contains) } ?? false
    }
}
