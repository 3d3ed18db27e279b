// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The proxies that the environment names, as curl reads it: for plain HTTP `http_proxy` (lower case only: HTTP_PROXY
/// can be set by a request's header where CGI is at work), for HTTPS `https_proxy` or HTTPS_PROXY, else `all_proxy` or
/// ALL_PROXY; none for the hosts of `no_proxy` or NO_PROXY.
public struct ProxyEnvironment: Equatable, Sendable {
    public struct Address: Equatable, Sendable {
        public var host: String
        public var port: UInt16
        /// "user:password" for Proxy-Authorization.
        public var credentials: String?

        public init(host: String, port: UInt16, credentials: String? = nil) {
            self.host = host
            self.port = port
            self.credentials = credentials
        }
    }

    private let address: Address?
    private let secureAddress: Address?
    private let exceptions: [String]

    public init(_ environment: [String: String]) {
        func address(_ names: [String]) -> Address? {
            names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }.flatMap(Self.parse)
        }
        self.address = address(["http_proxy", "all_proxy", "ALL_PROXY"])
        secureAddress = address(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
        let list = environment["no_proxy"] ?? environment["NO_PROXY"] ?? ""
        exceptions = list.split { $0 == "," || $0 == " " }.map { $0.lowercased() }
    }

    /// The proxy to ask for `host`; nil to go there directly.
    public func proxy(forHost host: String, port: UInt16, isSecure: Bool = false) -> Address? {
        guard let address = isSecure ? secureAddress : address else { return nil }
        let host = host.lowercased()
        return exceptions.contains { Self.matches($0, host, port) } ? nil : address
    }

    /// `*`, a host, a domain with or without a leading dot, each with an optional port.
    private static func matches(_ exception: String, _ host: String, _ port: UInt16) -> Bool {
        if exception == "*" { return true }
        var name = exception[...]
        if name.hasPrefix("["), let end = name.firstIndex(of: "]") {
            guard accepts(name[name.index(after: end)...], port) else { return false }
            name = name[name.index(after: name.startIndex)..<end]
        } else if let colon = name.firstIndex(of: ":"), name.lastIndex(of: ":") == colon {
            guard accepts(name[colon...], port) else { return false }
            name = name[..<colon]
        }
        while name.hasPrefix(".") { name.removeFirst() }
        return !name.isEmpty && (host == name || host.hasSuffix("." + name))
    }

    private static func accepts(_ port: Substring, _ wanted: UInt16) -> Bool {
        port.isEmpty || UInt16(port.dropFirst()) == wanted
    }

    /// `[http://][user:password@]host[:port][/]`; another scheme is no proxy that is known, and is left alone.
    private static func parse(_ text: String) -> Address? {
        var rest = text[...]
        if rest.lowercased().hasPrefix("http://") { rest = rest.dropFirst(7) }
        if let slash = rest.firstIndex(of: "/") {
            guard rest.index(after: slash) == rest.endIndex else { return nil }
            rest = rest[..<slash]
        }
        var credentials: String?
        if let at = rest.lastIndex(of: "@") {
            credentials = String(rest[..<at])
            rest = rest[rest.index(after: at)...]
        }
        // curl's default for proxies.
        var port: UInt16 = 1080
        var host = rest
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            host = rest[rest.index(after: rest.startIndex)..<end]
            rest = rest[rest.index(after: end)...]
        } else {
            host = rest.prefix { $0 != ":" }
            rest = rest[host.endIndex...]
        }
        if !rest.isEmpty {
            guard rest.hasPrefix(":"), let value = UInt16(rest.dropFirst()), value > 0 else { return nil }
            port = value
        }
        return host.isEmpty ? nil : Address(host: String(host), port: port, credentials: credentials)
    }
}
