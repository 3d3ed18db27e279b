// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import HTTP1
import Net
import Reactor
import Syscalls
import TLS

/// Hears of one request's answer. After `ended` there are no more calls.
protocol HTTPFetchHandler: AnyObject {
    /// False: the answer is of no use; then nothing more is heard of it.
    func received(_ head: HTTPResponseHead) -> Bool
    /// False: enough of it.
    func received(_ body: RawSpan) -> Bool
    /// Nil: the answer was complete.
    func ended(_ failure: String?)
}

/// One GET over a connected socket, plain or with TLS, whose answer is handed on as it comes.
final class HTTPFetch: ReadinessHandler, TLSConnectionHandler {
    private let request: [UInt8]
    private var sent = 0
    private var parser = HTTPResponseParser()
    private weak var handler: (any HTTPFetchHandler)?
    private let reactor: Reactor
    private let stall: TimeSpan
    private var source: Source?
    private var connection: TLSConnection?
    private let scratch = ScratchBuffer(capacity: 256 << 10)
    private lazy var stallTimer = reactor.makeTimer { [unowned self] in
        self.finish("nothing has come for \(Int(self.stall.seconds)) s")
    }

    /// - Parameter stall: how long it may take until something comes, again and again.
    init(
        _ request: HTTPRequest,
        over descriptor: consuming FileDescriptor,
        tls: TLSSession?,
        reactor: Reactor,
        stall: TimeSpan,
        handler: any HTTPFetchHandler
    ) {
        self.request = request.bytes
        self.reactor = reactor
        self.stall = stall
        self.handler = handler
        if let tls {
            connection = TLSConnection.connect(
                over: descriptor,
                session: tls,
                reactor: reactor,
                handshakeLimit: stall,
                handler: self
            )
        } else {
            source = reactor.watch(descriptor, for: .write, handler: self)
        }
        stallTimer.arm(after: stall)
    }

    /// Ends it; nothing more is heard.
    func cancel() {
        handler = nil
        close()
    }

    private func close() {
        stallTimer.cancel()
        source?.close()
        source = nil
        let connection = self.connection
        self.connection = nil
        connection?.close(.local("done"))
    }

    private func finish(_ failure: String?) {
        let handler = self.handler
        cancel()
        handler?.ended(failure)
    }

    // MARK: Plain

    func handle(_ readiness: Readiness, of source: Source) {
        guard sent < request.count else { return receive(source) }
        let (bytes, start) = (request, sent)
        switch source.withDescriptor({ fd in unsafe fd.send(bytes.span.bytes.extracting(droppingFirst: start)) }) {
        case .bytes(let count): sent += count
        case .wouldBlock: return
        case .failed(let error): return finish("connection lost: \(error)")
        }
        if sent == request.count { source.wait(for: .read) }
    }

    private func receive(_ source: Source) {
        switch scratch.fill({ output in source.withDescriptor { $0.read(into: &output) } }) {
        case .bytes(0): peerClosed()
        case .bytes: scratch.withBytes { received($0) }
        case .wouldBlock: return
        case .failed(let error): finish("connection lost: \(error)")
        }
    }

    // MARK: TLS

    func secured() { connection?.requestRefill() }

    func refill() {
        let bytes = request
        while sent < bytes.count, let connection, connection.canWrite {
            let part = min(TLSSession.recordSize, bytes.count - sent)
            unsafe connection.write(bytes.span.bytes.extracting(sent..<(sent + part)))
            sent += part
        }
    }

    func ended(_ end: ConnectionEnd) {
        connection = nil
        switch end {
        case .peerClosed: peerClosed()
        // A server may close without close_notify; whether something is missing is told by the answer's length.
        case .tls(let error) where error.kind == .truncated && parser.head != nil: peerClosed()
        case .local: break
        default: finish("\(end)")
        }
    }

    // MARK: The answer

    func received(_ bytes: RawSpan) {
        guard handler != nil else { return }
        stallTimer.arm(after: stall)
        do throws(HTTPError) {
            var taken = 0
            if parser.head == nil {
                taken = try parser.feed(bytes, pausingAfterHead: true) { _ in }
                guard let head = parser.head else { return }
                guard handler?.received(head) == true else { return cancel() }
            }
            // The handler may end this exchange, but does not come back here.
            var parser = self.parser
            var wantsMore = true
            let rest = bytes.extracting(droppingFirst: taken)
            _ = try parser.feed(rest) { piece in if wantsMore { wantsMore = handler?.received(piece) == true } }
            self.parser = parser
            guard wantsMore else { return cancel() }
            if parser.isComplete { finish(nil) }
        } catch {
            finish("the answer makes no sense: \(error)")
        }
    }

    private func peerClosed() {
        do throws(HTTPError) {
            try parser.end()
            finish(nil)
        } catch {
            finish("\(error)")
        }
    }
}
