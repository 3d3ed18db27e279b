// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Takes one response apart as its bytes come (RFC 9112), whatever pieces they come in. Interim responses (1xx) are
/// skipped. It holds no more than the head, or one line of a chunked body.
public struct HTTPResponseParser: Sendable {
    /// Bytes of a head; beyond them it is not one.
    public static let headLimit = 64 << 10
    /// Bytes of a line of a chunked body, extensions and trailers included.
    static let chunkLineLimit = 8 << 10

    private enum State: Equatable {
        case head
        case fixed(UInt64)
        case untilClose
        case chunkSize
        case chunk(UInt64)
        case chunkEnd
        case trailers
        case complete
    }

    /// What was asked: the answers to HEAD and CONNECT have no body.
    private let method: String
    private var state = State.head
    private var line: [UInt8] = []
    private var lines: [[UInt8]] = []
    private var headBytes = 0
    /// There once it is complete.
    public private(set) var head: HTTPResponseHead?

    public init(method: String = "GET") { self.method = method }

    /// Has the whole response been seen?
    public var isComplete: Bool { state == .complete }

    /// Takes bytes in, and gives those of the body to `body`.
    ///
    /// - Parameter pausingAfterHead: takes nothing behind the head in the call in which that becomes complete, so that it can
    ///   be judged first.
    /// - Returns: how many were taken; fewer than given when the response is complete, or for the pause.
    public mutating func feed(
        _ bytes: RawSpan,
        pausingAfterHead: Bool = false,
        body: (RawSpan) -> Void
    ) throws(HTTPError) -> Int {
        var offset = 0
        let pauses = pausingAfterHead && head == nil
        while offset < bytes.byteCount && state != .complete {
            if pauses && head != nil { break }
            switch state {
            case .fixed(let left): offset += pass(bytes, from: offset, left, body)
            case .chunk(let left): offset += pass(bytes, from: offset, left, body)
            case .untilClose: offset += pass(bytes, from: offset, .max, body)
            default:
                let byte = unsafe bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
                offset += 1
                try take(byte)
            }
        }
        return offset
    }

    /// The peer has closed the connection.
    public mutating func end() throws(HTTPError) {
        switch state {
        case .complete: return
        case .untilClose: state = .complete
        case .head: throw HTTPError("the connection ended before the head of the response was complete")
        default: throw HTTPError("the connection ended in the midst of the response's body")
        }
    }

    private mutating func pass(_ bytes: RawSpan, from offset: Int, _ left: UInt64, _ body: (RawSpan) -> Void) -> Int {
        let count = Int(min(left, UInt64(bytes.byteCount - offset)))
        if count > 0 { body(bytes.extracting(offset..<(offset + count))) }
        let rest = left - UInt64(count)
        switch state {
        case .fixed: state = rest == 0 ? .complete : .fixed(rest)
        case .chunk: state = rest == 0 ? .chunkEnd : .chunk(rest)
        default: break
        }
        return count
    }

    /// One byte of a line.
    private mutating func take(_ byte: UInt8) throws(HTTPError) {
        if state == .head {
            headBytes += 1
            guard headBytes <= Self.headLimit else {
                throw HTTPError("the head of the response is longer than \(Self.headLimit) bytes")
            }
        } else if line.count > Self.chunkLineLimit {
            throw HTTPError("a line of the chunked body is longer than \(Self.chunkLineLimit) bytes")
        }
        guard byte == UInt8(ascii: "\n") else { return line.append(byte) }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        let complete = line
        line = []
        switch state {
        case .head: try takeHeadLine(complete)
        case .chunkSize: try takeChunkSize(complete)
        case .chunkEnd:
            guard complete.isEmpty else { throw HTTPError("a chunk is longer than it says") }
            state = .chunkSize
        case .trailers: if complete.isEmpty { state = .complete }
        default: break
        }
    }

    private mutating func takeHeadLine(_ line: [UInt8]) throws(HTTPError) {
        if !line.isEmpty {
            if lines.isEmpty { _ = try HeadSyntax.statusLine(line) }
            return lines.append(line)
        }
        // Empty lines ahead of a status line are tolerated (RFC 9112 section 2.2).
        guard let first = lines.first else { return }
        let (status, reason) = try HeadSyntax.statusLine(first)
        var headers: [HTTPResponseHead.Header] = []
        for line in lines.dropFirst() { headers.append(try HeadSyntax.header(line)) }
        lines = []
        headBytes = 0
        if (100...199).contains(status) && status != 101 { return }
        let head = HTTPResponseHead(status: status, reason: reason, headers: headers)
        self.head = head
        state = try bodyState(of: head)
    }

    /// How the body is delimited (RFC 9112 section 6.3). What contradicts itself is refused: one of the two who read it
    /// would be deceived.
    private func bodyState(of head: HTTPResponseHead) throws(HTTPError) -> State {
        let lengths = Set(head.values("content-length"))
        let codings = head.values("transfer-encoding")
        guard codings.isEmpty || lengths.isEmpty else {
            throw HTTPError("the response has both Transfer-Encoding and Content-Length")
        }
        guard lengths.count <= 1 else { throw HTTPError("the response has several values of Content-Length") }
        var length: UInt64?
        if let text = lengths.first {
            guard text.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains), let value = UInt64(text)
            else {
                throw HTTPError("Content-Length is not a number: \(text)")
            }
            length = value
        }
        if method == "HEAD" || head.status == 204 || head.status == 304 { return .complete }
        if method == "CONNECT" && (200...299).contains(head.status) { return .complete }
        if !codings.isEmpty {
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                throw HTTPError("Transfer-Encoding \(codings.joined(separator: ", ")) is not known")
            }
            return .chunkSize
        }
        guard let length else { return .untilClose }
        return length == 0 ? .complete : .fixed(length)
    }

    private mutating func takeChunkSize(_ line: [UInt8]) throws(HTTPError) {
        let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        let text = String(decoding: digits, as: UTF8.self)
        let isHex = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
        }
        guard isHex, !text.isEmpty, let size = UInt64(text, radix: 16) else {
            throw HTTPError("a chunk's size is not a hexadecimal number")
        }
        state = size == 0 ? .trailers : .chunk(size)
    }
}

/// The lines of a head.
private enum HeadSyntax {
    static func statusLine(_ line: [UInt8]) throws(HTTPError) -> (status: Int, reason: String) {
        let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].starts(with: "HTTP/1.".utf8), parts[1].count == 3,
            let status = Int(String(decoding: parts[1], as: UTF8.self)), (100...599).contains(status)
        else { throw HTTPError("the peer does not speak HTTP: its first line is no status line") }
        return (status, parts.count > 2 ? printable(parts[2]) : "")
    }

    static func header(_ line: [UInt8]) throws(HTTPError) -> HTTPResponseHead.Header {
        // A line that begins with a blank would continue the one before (obsolete, RFC 9112 section 5.2).
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            line[..<colon].allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { throw HTTPError("a line of the response's head is no header") }
        let blanks: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 }
        var value = line[(colon + 1)...].drop(while: blanks)
        while let last = value.last, blanks(last) { value.removeLast() }
        guard !value.contains(where: { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }) else {
            throw HTTPError("a header of the response has control characters")
        }
        return HTTPResponseHead.Header(
            String(decoding: line[..<colon], as: UTF8.self).lowercased(),
            String(decoding: value, as: UTF8.self)
        )
    }

    private static func printable(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.prefix(128).map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }, as: UTF8.self)
    }
}
