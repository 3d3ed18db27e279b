// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The head of a request (RFC 9112 section 3), which has no body.
public struct HTTPRequest: Equatable, Sendable {
    public var method: String
    /// What stands in the request line: a path, a whole URL for a proxy, or host:port for CONNECT.
    public var target: String
    /// In the order in which they are sent.
    public var headers: [(name: String, value: String)]

    /// - Parameter host: the value of Host: with the port where that is not 80.
    public init(_ method: String = "GET", target: String, host: String, headers: [(name: String, value: String)] = []) {
        self.method = method
        self.target = target
        self.headers = [("Host", host)] + headers
    }

    /// The bytes to send. Line breaks in a value would begin another line, so they become blanks.
    public var bytes: [UInt8] {
        var text = "\(Self.oneLine(method)) \(Self.oneLine(target)) HTTP/1.1\r\n"
        for header in headers { text += "\(Self.oneLine(header.name)): \(Self.oneLine(header.value))\r\n" }
        return Array((text + "\r\n").utf8)
    }

    private static func oneLine(_ text: String) -> String {
        String(decoding: text.utf8.map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
    }

    public static func == (left: HTTPRequest, right: HTTPRequest) -> Bool { left.bytes == right.bytes }
}

/// The head of a response (RFC 9112 section 4).
public struct HTTPResponseHead: Equatable, Sendable {
    public var status: Int
    public var reason: String
    /// Names in lower case, in the order of arrival.
    public var headers: [Header]

    public struct Header: Equatable, Sendable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(status: Int, reason: String, headers: [Header] = []) {
        self.status = status
        self.reason = reason
        self.headers = headers
    }

    /// The value of the first header of that name, in any case.
    public subscript(name: String) -> String? {
        let name = name.lowercased()
        return headers.first { $0.name == name }?.value
    }

    /// All values of that name.
    public func values(_ name: String) -> [String] {
        let name = name.lowercased()
        return headers.filter { $0.name == name }.map(\.value)
    }
}

/// Why bytes are no response.
public struct HTTPError: Error, Equatable, Sendable, CustomStringConvertible {
    public let message: String
    init(_ message: String) { self.message = message }
    public var description: String { message }
}
