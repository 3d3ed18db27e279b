// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A request of HTTP/1.1 or 1.0 (RFC 9112) without a body.
public struct HTTPRequest: Equatable, Sendable {
    public enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
    }
    public var method: Method
    /// Percent-decoded.
    public var path: String
    /// Decoded names and values, in order.
    public var query: [Parameter]
    /// Names in lower case.
    public var fields: [Parameter]
    /// May the connection be used for another request?
    public var keepsAlive: Bool

    public struct Parameter: Equatable, Sendable {
        public var name: String
        public var value: String
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }
    public func field(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}

/// A status code with its reason (RFC 9110 section 15).
public struct HTTPStatus: Error, Equatable, Sendable {
    public let code: Int
    public let reason: String

    public static let ok = HTTPStatus(code: 200, reason: "OK")
    public static let partialContent = HTTPStatus(code: 206, reason: "Partial Content")
    public static let badRequest = HTTPStatus(code: 400, reason: "Bad Request")
    public static let notFound = HTTPStatus(code: 404, reason: "Not Found")
    public static let methodNotAllowed = HTTPStatus(code: 405, reason: "Method Not Allowed")
    public static let contentTooLarge = HTTPStatus(code: 413, reason: "Content Too Large")
    public static let uriTooLong = HTTPStatus(code: 414, reason: "URI Too Long")
    public static let rangeNotSatisfiable = HTTPStatus(code: 416, reason: "Range Not Satisfiable")
    public static let fieldsTooLarge = HTTPStatus(code: 431, reason: "Request Header Fields Too Large")
    public static let internalError = HTTPStatus(code: 500, reason: "Internal Server Error")
    public static let notImplemented = HTTPStatus(code: 501, reason: "Not Implemented")
    public static let versionNotSupported = HTTPStatus(code: 505, reason: "HTTP Version Not Supported")
}
