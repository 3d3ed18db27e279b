// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Reactor
public import Syscalls

/// Answers requests.
public protocol ControlHandler: AnyObject {
    /// Says what to answer. It may keep `client`, to send events to it as long as it is open.
    func answer(_ request: ControlRequest, of client: ControlClient) -> ControlAnswer
}

/// The agent's control socket, on the agent's own loop.
///
/// Whoever may connect can ask for something a hundred times a second at most, and is answered as fast as it reads: a
/// client that hangs, floods, or comes a thousand times costs the loop little.
public final class ControlServer: ReadinessHandler {
    /// Clients at once. Beyond them the one that has been idle for longest goes.
    static let clientLimit = 16
    /// Clients that listen at once, so that others can always ask.
    public static let listenerLimit = 8
    /// After which a client that neither asks nor listens is sent away.
    static let patience = TimeSpan.seconds(60)

    let reactor: Reactor
    weak var handler: (any ControlHandler)?
    let path: String
    private var source: Source?
    private var clients: [ControlClient] = []
    /// One user besides root may connect: the agent's own.
    private let user = geteuid()
    private var answers = Pace(every: .milliseconds(10), burst: 20)
    /// Clients with a request that has to wait for its turn; each has one turn before any has another.
    private var waiting: [ControlClient] = []
    private lazy var nextTurn = reactor.makeTimer { [unowned self] in self.giveTurns() }
    private var accepts = Pace(every: .milliseconds(2), burst: 16)
    private lazy var acceptLater = reactor.makeTimer { [unowned self] in self.source?.wait(for: .read) }

    /// Listens at `path`, whose folder is made when it is missing.
    ///
    /// - Throws: `Errno`; EADDRINUSE when another process listens there.
    public init(path: String, reactor: Reactor, handler: any ControlHandler) throws(Errno) {
        self.path = path
        self.reactor = reactor
        self.handler = handler
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            try FileDescriptor.makeDirectories(String(path[..<slash]))
        }
        source = reactor.watch(try LocalSocket.listen(at: path), for: .read, handler: self)
    }

    /// Removes the socket, and sends everybody away.
    public func close() {
        guard source != nil else { return }
        unsafe _ = unlink(path)
        acceptLater.cancel()
        nextTurn.cancel()
        source?.close()
        source = nil
        for client in clients { client.close() }
    }

    public func handle(_ readiness: Readiness, of source: Source) {
        while source.isOpen {
            if let later = accepts.take(at: MonotonicTime.now()) {
                source.wait(for: [])
                return acceptLater.arm(at: later)
            }
            do throws(Errno) {
                guard let descriptor = try source.withDescriptor({ (fd) throws(Errno) in try fd.accept() }) else {
                    return
                }
                let peer = try descriptor.peerUser()
                guard peer == 0 || peer == user else { continue }
                add(descriptor)
            } catch {
                // Out of descriptors or memory: those who wait are served when some are free again.
                source.wait(for: [])
                return acceptLater.arm(after: .milliseconds(200))
            }
        }
    }

    private func add(_ descriptor: consuming FileDescriptor) {
        if clients.count >= Self.clientLimit {
            guard let oldest = clients.filter({ !$0.isListening }).min(by: { $0.lastActive < $1.lastActive }) else {
                return
            }
            oldest.close()
        }
        clients.append(ControlClient(descriptor, server: self))
    }

    /// May another client listen?
    public var hasRoomForListener: Bool { clients.count(where: \.isListening) < Self.listenerLimit }

    func ended(_ client: ControlClient) {
        clients.removeAll { $0 === client }
        waiting.removeAll { $0 === client }
    }

    /// Whose turn it is, while clients get theirs.
    private var served: ControlClient?

    /// May this client be answered now? If not, it is told to go on when it may.
    func mayAnswer(_ client: ControlClient) -> Bool {
        if served === client {
            served = nil
            return true
        }
        if waiting.isEmpty {
            guard let later = answers.take(at: MonotonicTime.now()) else { return true }
            nextTurn.arm(at: later)
        }
        if !waiting.contains(where: { $0 === client }) { waiting.append(client) }
        return false
    }

    private func giveTurns() {
        while let client = waiting.first {
            if let later = answers.take(at: MonotonicTime.now()) { return nextTurn.arm(at: later) }
            waiting.removeFirst()
            served = client
            client.advance()
            served = nil
        }
    }
}
