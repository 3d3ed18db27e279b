// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Syscalls

extension SocketAddress {
    /// From "HOST:PORT" or "[HOST]:PORT" with a numeric host or "localhost".
    public init(text: String) throws(CenterError) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let problem = CenterError("\"\(text)\" is not an address such as 127.0.0.1:6751 or [::1]:6751")
        guard parts.count >= 2, let last = parts.last, let port = UInt16(last) else { throw problem }
        var host = String(text.dropLast(last.utf8.count + 1))
        if host.hasPrefix("[") && host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if parts.count > 2 {
            throw problem
        }
        guard let address = SocketAddress(literal: host == "localhost" ? "127.0.0.1" : host, port: port) else {
            throw problem
        }
        self = address
    }

    /// The address without its port, and without brackets.
    var host: String {
        var text = description
        if let colon = text.lastIndex(of: ":") { text = String(text[..<colon]) }
        return text.hasPrefix("[") ? String(text.dropFirst().dropLast()) : text
    }

    /// "0.0.0.0" or "::": any address of this host.
    var isUnspecified: Bool { host == "0.0.0.0" || host == "::" }

    /// "host:port" for URLs, with loopback in place of an unspecified address.
    static func authority(_ address: SocketAddress?, port: UInt16) -> String {
        guard let address, !address.isUnspecified else { return "127.0.0.1:\(port)" }
        return address.host.contains(":") ? "[\(address.host)]:\(port)" : "\(address.host):\(port)"
    }
}
