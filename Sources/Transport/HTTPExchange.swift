// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import HTTP1
public import Reactor
public import Syscalls

/// One plain HTTP request over a connected socket, and its answer, kept in memory: for small answers.
public final class HTTPExchange: ReadinessHandler {
    public struct Response: Equatable, Sendable {
        public var head: HTTPResponseHead
        public var body: [UInt8]

        public init(head: HTTPResponseHead, body: [UInt8]) {
            self.head = head
            self.body = body
        }
    }

    /// Why there is no answer.
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
        public init(description: String) { self.description = description }
    }

    private let request: [UInt8]
    private var sent = 0
    private var parser = HTTPResponseParser()
    private var body: [UInt8] = []
    private let bodyLimit: Int
    private var source: Source?
    private var completion: ((Result<Response, Failure>) -> Void)?
    private let scratch = ScratchBuffer(capacity: 16 << 10)
    private let reactor: Reactor
    private lazy var deadline = reactor.makeTimer { [unowned self] in self.fail("no answer in time") }

    /// Sends `request` over `descriptor`, which is connected and non-blocking, and is closed at the end. `completion` is
    /// called once, in a later turn; not after `cancel`.
    public init(
        _ request: HTTPRequest,
        over descriptor: consuming FileDescriptor,
        reactor: Reactor,
        limit: TimeSpan,
        bodyLimit: Int,
        completion: @escaping (Result<Response, Failure>) -> Void
    ) {
        self.request = request.bytes
        self.reactor = reactor
        self.bodyLimit = bodyLimit
        self.completion = completion
        source = reactor.watch(descriptor, for: .write, handler: self)
        deadline.arm(after: limit)
    }

    /// Gives up; `completion` is not called.
    public func cancel() {
        completion = nil
        deadline.cancel()
        source?.close()
        source = nil
    }

    public func handle(_ readiness: Readiness, of source: Source) {
        if sent < request.count { send(source) } else { receive(source) }
    }

    private func send(_ source: Source) {
        let (bytes, start) = (request, sent)
        switch source.withDescriptor({ fd in unsafe fd.send(bytes.span.bytes.extracting(droppingFirst: start)) }) {
        case .bytes(let count): sent += count
        case .wouldBlock: return
        case .failed(let error): return fail("connection lost: \(error)")
        }
        if sent == request.count { source.wait(for: .read) }
    }

    private func receive(_ source: Source) {
        switch scratch.fill({ output in source.withDescriptor { $0.read(into: &output) } }) {
        case .bytes(0): take { parser throws(HTTPError) in try parser.end() }
        case .bytes: take { parser throws(HTTPError) in try self.parse(with: &parser) }
        case .wouldBlock: return
        case .failed(let error): fail("connection lost: \(error)")
        }
    }

    private func parse(with parser: inout HTTPResponseParser) throws(HTTPError) {
        var taken = body
        body = []
        try scratch.withBytes { bytes throws(HTTPError) in
            _ = try parser.feed(bytes) { piece in unsafe piece.withUnsafeBytes { unsafe taken.append(contentsOf: $0) } }
        }
        body = taken
    }

    private func take(_ step: (inout HTTPResponseParser) throws(HTTPError) -> Void) {
        do throws(HTTPError) {
            var parser = self.parser
            try step(&parser)
            self.parser = parser
        } catch {
            return fail("\(error)")
        }
        guard body.count <= bodyLimit else { return fail("the answer is longer than \(bodyLimit) bytes") }
        guard parser.isComplete, let head = parser.head else { return }
        finish(.success(Response(head: head, body: body)))
    }

    private func fail(_ reason: String) { finish(.failure(Failure(description: reason))) }

    private func finish(_ result: Result<Response, Failure>) {
        let completion = self.completion
        cancel()
        completion?(result)
    }
}
