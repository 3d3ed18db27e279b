// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// An http or https URL taken apart (RFC 3986, RFC 9110 section 4.2), as a client needs it.
public struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
    /// Bytes of a URL; servers refuse longer ones too.
    public static let limit = 8 << 10

    public var isSecure: Bool
    /// Without the brackets of an IPv6 literal.
    public var host: String
    public var port: UInt16
    /// "user:password", decoded.
    public var credentials: String?
    /// Path and query as they go into a request line; never empty.
    public var target: String

    /// What is wrong with a text that should be a URL.
    public struct Invalid: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// - Throws: for another scheme, a missing host, a port out of range, blanks and control characters.
    public init(_ given: String) throws(Invalid) {
        let text = Self.encoded(given)
        guard text.utf8.count <= Self.limit else {
            throw Invalid(description: "the URL is longer than \(Self.limit) bytes")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw Invalid(description: "the URL has blanks or control characters in it")
        }
        let lower = text.prefix(8).lowercased()
        guard lower.hasPrefix("http://") || lower.hasPrefix("https://") else {
            throw Invalid(description: "the URL begins neither with http:// nor with https://")
        }
        isSecure = lower.hasPrefix("https://")
        var rest = text.dropFirst(isSecure ? 8 : 7)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        rest = rest[authority.endIndex...].prefix { $0 != "#" }
        target = rest.hasPrefix("/") ? String(rest) : "/" + rest
        var place = authority
        if let at = authority.lastIndex(of: "@") {
            credentials = Self.decoded(authority[..<at])
            place = authority[authority.index(after: at)...]
        }
        var end = place.firstIndex(of: ":") ?? place.endIndex
        if place.hasPrefix("[") {
            guard let close = place.firstIndex(of: "]") else {
                throw Invalid(description: "the URL's address has no closing bracket")
            }
            host = String(place[place.index(after: place.startIndex)..<close])
            end = place.index(after: close)
        } else {
            host = String(place[..<end])
        }
        guard !host.isEmpty else { throw Invalid(description: "the URL names no host") }
        let suffix = place[end...]
        port = isSecure ? 443 : 80
        guard suffix.count > 1 else {
            if suffix.isEmpty || suffix == ":" { return }
            throw Invalid(description: "the URL has something behind its address that is no port")
        }
        guard suffix.first == ":", suffix.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = UInt16(suffix.dropFirst()), number > 0
        else { throw Invalid(description: "the URL's port is no number from 1 to 65535") }
        port = number
    }

    /// What a Location header means for a request to this URL (RFC 9110 section 10.2.2).
    public func resolving(_ reference: String) throws(Invalid) -> HTTPURL {
        let reference = Self.encoded(reference)
        let lower = reference.lowercased()
        if lower.hasPrefix("http://") || lower.hasPrefix("https://") { return try HTTPURL(reference) }
        if reference.hasPrefix("//") { return try HTTPURL((isSecure ? "https:" : "http:") + reference) }
        let scheme = reference.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !scheme.contains(":") else {
            throw Invalid(description: "it leads to another scheme than http and https")
        }
        let path = target.prefix { $0 != "?" }
        let full: String
        if reference.isEmpty || reference.hasPrefix("#") {
            full = target
        } else if reference.hasPrefix("/") {
            full = reference
        } else if reference.hasPrefix("?") {
            full = path + reference
        } else {
            full = path[...(path.lastIndex(of: "/") ?? path.startIndex)] + reference
        }
        let query = full.firstIndex(of: "?") ?? full.endIndex
        let place = Self.withoutDots(full[..<query]) + full[query...]
        var result = try HTTPURL((isSecure ? "https://" : "http://") + authority + place)
        result.credentials = credentials
        return result
    }

    /// A path without the segments "." and ".." (RFC 3986 section 5.2.4).
    private static func withoutDots(_ path: Substring) -> String {
        var kept: [Substring] = []
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            if segment == ".." { kept = kept.dropLast() } else if segment != "." { kept.append(segment) }
            if index == segments.count - 1, segment == "." || segment == ".." { kept.append("") }
        }
        return "/" + kept.joined(separator: "/")
    }

    /// "host", or "host:port" where that is not the scheme's own: the value of Host.
    public var authority: String {
        let name = host.utf8.contains(0x3a) ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// Without credentials: what may stand in a log.
    public var description: String { "\(isSecure ? "https" : "http")://\(authority)\(target)" }

    /// Bytes beyond ASCII as servers expect them, percent-encoded (RFC 3986 section 2.1).
    private static func encoded(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 > 0x7f }) else { return text }
        let digits = Array("0123456789ABCDEF".utf8)
        let bytes = text.utf8.flatMap { byte in
            byte > 0x7f ? [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]] : [byte]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, digits.first != UInt8(ascii: "+"),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
