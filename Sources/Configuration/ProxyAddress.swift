// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// An HTTP proxy: where it is, and the credentials that it asks for.
public struct ProxyAddress: Sendable, Hashable, CustomStringConvertible {
    public let endpoint: Endpoint
    /// "user:password" as it is written, sent by Basic authentication (RFC 7617).
    public let credentials: String?

    /// The form that is parsed, credentials included: for the configuration file, not for logs.
    public var description: String { "http://" + (credentials.map { "\($0)@" } ?? "") + "\(endpoint)" }

    /// Takes apart `http://[user:password@]host:port`; the scheme may be left out.
    init(parsing text: String) throws(Problem) {
        let scheme = "http://"
        var rest = text.hasPrefix(scheme) ? text.dropFirst(scheme.count) : text[...]
        if rest.utf8.last == UInt8(ascii: "/") { rest = rest.dropLast() }
        if let at = rest.utf8.lastIndex(of: UInt8(ascii: "@")) {
            let given = String(rest[..<at])
            guard given.utf8.contains(UInt8(ascii: ":")), !given.unicodeScalars.contains(where: isControl) else {
                throw Problem(
                    "the proxy's credentials have no password",
                    remedy: "write http://user:password@host:port"
                )
            }
            credentials = given
            rest = rest[rest.utf8.index(after: at)...]
        } else {
            credentials = nil
        }
        endpoint = try Endpoint(parsing: String(rest))
    }
}
