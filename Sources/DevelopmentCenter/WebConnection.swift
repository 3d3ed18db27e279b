// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Syscalls

/// One HTTP/1.1 connection: requests one after the other, each answered before the next is looked at.
final class WebConnection: ReadinessHandler {
    /// A client must send a request, and take some of an answer, within this time.
    static let idleLimit = TimeSpan.seconds(30)
    /// Bytes of a file read at once, and sent before other sources have their turn.
    static let chunk = 64 << 10
    static let turnBudget = 512 << 10

    private unowned let server: WebServer
    private var source: Source?
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    private var file: FileDescriptor?
    private var fileRest = 0
    private var closesAfterwards = false
    private var deadline: Timer?
    private var again: Deferred?

    init(_ descriptor: consuming FileDescriptor, server: WebServer, reactor: Reactor) {
        self.server = server
        source = reactor.watch(descriptor, for: .read, handler: self)
        deadline = reactor.makeTimer { [weak self] in self?.close() }
        deadline?.arm(after: Self.idleLimit)
        again = reactor.makeDeferred { [weak self] in self?.goOn() }
    }

    func close() {
        guard let source else { return }
        self.source = nil
        deadline?.cancel()
        again?.cancel()
        file = nil
        source.close()
        server.ended(self)
    }

    private var isAnswering: Bool { sent < output.count || fileRest > 0 }

    func handle(_ readiness: Readiness, of source: Source) {
        if isAnswering { write() } else { read() }
    }

    private func read() {
        guard let source else { return }
        var chunk: [UInt8] = []
        let result = source.withDescriptor { Self.read($0, into: &chunk) }
        switch result {
        case .bytes(0): return close()
        case .bytes: input += chunk
        case .wouldBlock: return
        case .failed: return close()
        }
        answerNext()
    }

    private static func read(_ descriptor: borrowing FileDescriptor, into bytes: inout [UInt8]) -> IOResult {
        unsafe withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 16) { buffer in
            var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
            let result = descriptor.read(into: &output)
            let count = unsafe output.finalize(for: buffer)
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            return result
        }
    }

    /// Answers the request at the head of the input, if it is complete.
    private func answerNext() {
        switch HTTPRequestParser.parse(input) {
        case .incomplete:
            source?.wait(for: .read)
        case .failure(let status):
            closesAfterwards = true
            input = []
            begin(HTTPResponse(status, text: "\(status.code) \(status.reason)\n"), withBody: true)
        case .request(let request, let length):
            input.removeFirst(length)
            closesAfterwards = !request.keepsAlive
            let address = source?.withDescriptor { $0.localAddress }
            begin(server.answer(request, at: address), withBody: request.method == .get)
        }
    }

    private func begin(_ response: HTTPResponse, withBody: Bool) {
        var response = response
        sent = 0
        fileRest = 0
        if withBody, let wanted = response.file {
            do throws(Errno) {
                let opened = try FileDescriptor.open(wanted.path, .read)
                if lseek(opened.rawValue, wanted.range.lowerBound, SEEK_SET) < 0 { throw Errno.current }
                file = consume opened
                fileRest = wanted.range.count
            } catch {
                response = HTTPResponse(.internalError, text: "The file cannot be read: \(error)\n")
            }
        }
        output = response.head(keepsAlive: !closesAfterwards)
        if withBody { output += response.body }
        write()
    }

    private func write() {
        var written = 0
        while isAnswering {
            guard let source else { return }
            if sent == output.count && !readFile() { return close() }
            // A reference of its own for the span; nothing is copied.
            let output = self.output
            switch source.withDescriptor({ $0.send(unsafe output.span.bytes.extracting(droppingFirst: sent)) }) {
            case .bytes(let count):
                sent += count
                written += count
                deadline?.arm(after: Self.idleLimit)
            case .wouldBlock:
                return source.wait(for: .write)
            case .failed:
                return close()
            }
            if written >= Self.turnBudget && isAnswering {
                again?.schedule()
                return
            }
        }
        finishAnswer()
    }

    /// The next piece of the file; false when it has become shorter, and the answer cannot be completed.
    private func readFile() -> Bool {
        var piece: [UInt8] = []
        do throws(Errno) {
            switch file {
            case .some(let file): try file.readChunk(appendingTo: &piece, capacity: min(fileRest, Self.chunk))
            case .none: return false
            }
        } catch {
            return false
        }
        fileRest -= piece.count
        output = piece
        sent = 0
        return !piece.isEmpty
    }

    private func finishAnswer() {
        file = nil
        output = []
        sent = 0
        if closesAfterwards { return close() }
        deadline?.arm(after: Self.idleLimit)
        // What was sent ahead is answered too, in a turn of its own.
        if input.isEmpty { source?.wait(for: .read) } else { again?.schedule() }
    }

    private func goOn() {
        if isAnswering { write() } else { answerNext() }
    }
}
