// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor
import Syscalls

/// One connection to the control socket, as the agent sees it.
public final class ControlClient: ReadinessHandler {
    /// Bytes of events that may wait for the client to read them.
    static let eventLimit = 256 << 10
    static let scratch = 4096

    private unowned let server: ControlServer
    private var source: Source?
    private var input = LineBuffer(limit: ControlProtocol.requestLimit)
    private var output: [UInt8] = []
    private var sent = 0
    /// What is to be answered next.
    private var line: [UInt8]?
    private var hasEnded = false
    private var closesWhenSent = false
    /// When it last did anything.
    private(set) var lastActive = MonotonicTime.now()
    /// Events go to it: it need not ask for anything.
    public var isListening = false
    /// Called when it has gone.
    public var onClosed: (() -> Void)?
    private lazy var patience = server.reactor.makeTimer { [unowned self] in self.lookForLife() }

    init(_ descriptor: consuming FileDescriptor, server: ControlServer) {
        self.server = server
        source = server.reactor.watch(descriptor, for: .read, handler: self)
        patience.arm(after: ControlServer.patience)
    }

    public var isOpen: Bool { source != nil }
    /// May another event be sent? The client has read most of what there was.
    public var hasRoom: Bool { isOpen && output.count - sent < Self.eventLimit }

    public func close() {
        guard let source else { return }
        source.close()
        self.source = nil
        patience.cancel()
        output = []
        server.ended(self)
        let onClosed = self.onClosed
        self.onClosed = nil
        onClosed?()
    }

    /// Sends a line, with its line feed, without being asked.
    public func send(_ line: [UInt8]) {
        // One that reads slowly, and never all, must not keep what it has read already.
        if sent >= Self.eventLimit {
            output.removeSubrange(..<sent)
            sent = 0
        }
        output += line
        flush()
    }

    private func lookForLife() {
        let now = MonotonicTime.now()
        let isStuck = sent < output.count || !isListening
        if isStuck, now - lastActive >= ControlServer.patience { return close() }
        patience.arm(at: isStuck ? lastActive + ControlServer.patience : now + ControlServer.patience)
    }

    public func handle(_ readiness: Readiness, of source: Source) {
        if readiness.contains(.error) { return close() }
        if readiness.contains(.writable) { flush() }
        guard isOpen else { return }
        if source.interest.contains(.read), !readiness.isDisjoint(with: [.readable, .hangup]) {
            read()
        } else if readiness.contains(.hangup) {
            return close()
        }
        advance()
    }

    /// A little each time: others have their turn in between.
    private func read() {
        guard let source else { return }
        var bytes: [UInt8] = []
        do throws(Errno) {
            try source.withDescriptor { fd throws(Errno) in
                try fd.readChunk(appendingTo: &bytes, capacity: Self.scratch)
            }
        } catch {
            return error == .again ? () : close()
        }
        hasEnded = bytes.isEmpty
        lastActive = MonotonicTime.now()
        unsafe input.append(bytes.span.bytes)
    }

    /// Answers what was asked, one request after the other, as far as the client reads the answers.
    func advance() {
        while let source, !closesWhenSent {
            guard isListening ? hasRoom : sent == output.count else { return source.wait(for: .write) }
            do throws(LineBuffer.TooLong) {
                if line == nil { line = try input.next() }
            } catch {
                refuse("the line is longer than \(ControlProtocol.requestLimit) bytes")
                return
            }
            guard let line else {
                // A half-closed client has said everything, and gets its answers. Whether it is still there to hear of
                // events nobody could tell.
                guard hasEnded else { return waitForMore(from: source) }
                closesWhenSent = true
                return flush()
            }
            if !line.isEmpty {
                guard server.mayAnswer(self) else { return source.wait(for: sent < output.count ? .write : []) }
                perform(line)
            }
            self.line = nil
        }
    }

    private func waitForMore(from source: Source) {
        var interest: Interest = hasEnded ? [] : .read
        if sent < output.count { interest.formUnion(.write) }
        source.wait(for: interest)
    }

    private func perform(_ line: [UInt8]) {
        do throws(ControlRequest.Problem) {
            let request = try ControlRequest(parsing: line)
            guard let handler = server.handler else { return close() }
            output += handler.answer(request, of: self).line
            flush()
        } catch {
            refuse("\(error)")
        }
    }

    /// Says why, and ends: whoever sends this does not mean us.
    private func refuse(_ reason: String) {
        output += ControlAnswer.refusal(reason).line
        closesWhenSent = true
        flush()
    }

    private func flush() {
        guard let source else { return }
        while sent < output.count {
            let (bytes, start) = (output, sent)
            let result = source.withDescriptor { fd in
                unsafe fd.send(bytes.span.bytes.extracting(droppingFirst: start))
            }
            switch result {
            case .bytes(let count):
                sent += count
                lastActive = MonotonicTime.now()
            case .wouldBlock:
                // Nothing more is read of one that has ended, or is to end.
                let reads = source.interest.contains(.read) && !hasEnded && !closesWhenSent
                return source.wait(for: reads ? [.read, .write] : .write)
            case .failed: return close()
            }
        }
        output.removeAll(keepingCapacity: output.count <= Self.scratch)
        sent = 0
        if closesWhenSent { close() } else if source.interest.contains(.write) { waitForMore(from: source) }
    }
}
