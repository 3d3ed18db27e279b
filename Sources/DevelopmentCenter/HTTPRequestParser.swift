// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Reads the head of a request, strictly: what RFC 9112 lets a server refuse is refused.
public enum HTTPRequestParser {
    /// Bytes of request line and fields together.
    public static let limit = 16 << 10
    static let lineLimit = 8 << 10

    public enum Outcome: Equatable, Sendable {
        /// The head is not complete.
        case incomplete
        /// A request that takes `length` bytes.
        case request(HTTPRequest, length: Int)
        /// To be answered with this status, after which the connection is closed.
        case failure(HTTPStatus)
    }

    /// Parses the beginning of `bytes`.
    public static func parse(_ bytes: [UInt8]) -> Outcome {
        // An empty line in front of a request is passed over (RFC 9112 section 2.2).
        let start = bytes.starts(with: [cr, lf]) ? 2 : 0
        guard let end = endOfHead(bytes, from: start) else {
            if bytes.count - start <= limit { return .incomplete }
            return .failure(bytes[start...].prefix(lineLimit).contains(lf) ? .fieldsTooLarge : .uriTooLong)
        }
        guard end - start <= limit else { return .failure(.fieldsTooLarge) }
        do throws(HTTPStatus) {
            let lines = try split(bytes[start..<(end - 2)])
            return .request(try request(lines), length: end)
        } catch {
            return .failure(error)
        }
    }

    private static let cr: UInt8 = 0x0d
    private static let lf: UInt8 = 0x0a
    private static let space: UInt8 = 0x20
    private static let tab: UInt8 = 0x09

    /// Behind the empty line that ends the head.
    private static func endOfHead(_ bytes: [UInt8], from start: Int) -> Int? {
        var lineStart = start
        for index in start..<bytes.count where bytes[index] == lf {
            if index == lineStart || (index == lineStart + 1 && bytes[lineStart] == cr) { return index + 1 }
            lineStart = index + 1
        }
        return nil
    }

    /// Lines without their CR LF. A bare CR or LF is not taken for a line end.
    private static func split(_ head: ArraySlice<UInt8>) throws(HTTPStatus) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        for line in head.split(separator: lf, omittingEmptySubsequences: false).dropLast() {
            guard line.last == cr else { throw .badRequest }
            let content = line.dropLast()
            guard !content.contains(cr), !content.contains(0) else { throw .badRequest }
            lines.append(content)
        }
        return lines
    }

    private static func request(_ lines: [ArraySlice<UInt8>]) throws(HTTPStatus) -> HTTPRequest {
        guard let first = lines.first else { throw .badRequest }
        guard first.count <= lineLimit else { throw .uriTooLong }
        let parts = first.split(separator: space, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(isToken) else { throw .badRequest }
        let minor = try minorVersion(parts[2])
        let fields = try lines.dropFirst().map { (line) throws(HTTPStatus) in try field(line) }
        let hosts = fields.count { $0.name == "host" }
        guard hosts == 1 || (minor == 0 && hosts == 0) else { throw .badRequest }
        guard let method = HTTPRequest.Method(rawValue: text(parts[0])) else { throw .methodNotAllowed }
        try refuseBody(fields)
        let (path, query) = try target(parts[1])
        return HTTPRequest(
            method: method,
            path: path,
            query: query,
            fields: fields,
            keepsAlive: keepsAlive(fields, minor: minor)
        )
    }

    private static func minorVersion(_ version: ArraySlice<UInt8>) throws(HTTPStatus) -> Int {
        switch text(version) {
        case "HTTP/1.1": return 1
        case "HTTP/1.0": return 0
        case let other where other.hasPrefix("HTTP/") && other.utf8.count == 8: throw .versionNotSupported
        default: throw .badRequest
        }
    }

    private static func field(_ line: ArraySlice<UInt8>) throws(HTTPStatus) -> HTTPRequest.Parameter {
        // A line that begins with a space would continue the one before (obs-fold), which is refused.
        guard let colon = line.firstIndex(of: 0x3a), colon > line.startIndex else { throw .badRequest }
        let name = line[..<colon]
        guard name.allSatisfy(isToken) else { throw .badRequest }
        let value = line[(colon + 1)...].drop { $0 == space || $0 == tab }
        let end = value.lastIndex { $0 != space && $0 != tab }.map { $0 + 1 } ?? value.startIndex
        let content = value[value.startIndex..<end]
        guard content.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == tab }) else { throw .badRequest }
        return HTTPRequest.Parameter(text(name).lowercased(), text(content))
    }

    /// GET and HEAD have no body here.
    private static func refuseBody(_ fields: [HTTPRequest.Parameter]) throws(HTTPStatus) {
        if fields.contains(where: { $0.name == "transfer-encoding" }) { throw .notImplemented }
        for field in fields where field.name == "content-length" {
            guard !field.value.isEmpty, field.value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                throw .badRequest
            }
            guard field.value.utf8.allSatisfy({ $0 == 0x30 }) else { throw .contentTooLarge }
        }
    }

    private static func keepsAlive(_ fields: [HTTPRequest.Parameter], minor: Int) -> Bool {
        let options = fields.filter { $0.name == "connection" }
            .flatMap { $0.value.lowercased().split { $0 == "," || $0 == " " } }
        return minor == 1 ? !options.contains("close") : options.contains("keep-alive")
    }

    // MARK: Target

    private static func target(
        _ bytes: ArraySlice<UInt8>
    ) throws(HTTPStatus) -> (path: String, query: [HTTPRequest.Parameter]) {
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x23 }) else { throw .badRequest }
        var rest = bytes
        // A proxy's form names the host in front of the path.
        for scheme in ["http://", "https://"] where text(rest.prefix(scheme.utf8.count)).lowercased() == scheme {
            let authority = rest.dropFirst(scheme.utf8.count)
            guard let slash = authority.firstIndex(where: { $0 == 0x2f || $0 == 0x3f }) else { return ("/", []) }
            rest = authority[slash...]
            break
        }
        guard rest.first == 0x2f else { throw .badRequest }
        let mark = rest.firstIndex(of: 0x3f) ?? rest.endIndex
        let path = try decoded(rest[..<mark], plusIsSpace: false)
        var query: [HTTPRequest.Parameter] = []
        for pair in rest[mark...].dropFirst().split(separator: 0x26) {
            let equals = pair.firstIndex(of: 0x3d) ?? pair.endIndex
            query.append(
                HTTPRequest.Parameter(
                    try decoded(pair[..<equals], plusIsSpace: true),
                    try decoded(pair[equals...].dropFirst(), plusIsSpace: true)
                )
            )
        }
        return (path, query)
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>, plusIsSpace: Bool) throws(HTTPStatus) -> String {
        var output: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == 0x25 {
                guard index + 2 < bytes.endIndex, let high = hexDigit(bytes[index + 1]),
                    let low = hexDigit(bytes[index + 2])
                else { throw .badRequest }
                output.append(high << 4 | low)
                index += 3
            } else {
                output.append(plusIsSpace && bytes[index] == 0x2b ? space : bytes[index])
                index += 1
            }
        }
        guard !output.contains(0), let text = String(validating: output, as: UTF8.self) else { throw .badRequest }
        return text
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    /// tchar of RFC 9110 section 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
