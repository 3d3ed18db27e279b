// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import Reactor
public import Syscalls
public import TLS

/// Why a connection ended.
public enum ConnectionEnd: Error, Equatable, Sendable, CustomStringConvertible {
    /// It could not be made.
    case connect(Errno)
    /// Not made or not secured within the time allowed.
    case timeout(String)
    case tls(TLSError)
    /// Reading or writing failed: the peer or the network is gone.
    case io(Errno)
    /// The peer closed it.
    case peerClosed
    /// We closed it, for the reason given.
    case local(String)

    public var description: String {
        switch self {
        case .connect(let error): "cannot connect: \(error)"
        case .timeout(let what): "\(what): no answer in time"
        case .tls(let error): error.description
        case .io(let error): "connection lost: \(error)"
        case .peerClosed: "the peer closed the connection"
        case .local(let reason): reason
        }
    }
}

/// Hears of one connection. After `ended` there are no more calls.
public protocol TLSConnectionHandler: AnyObject {
    /// The handshake is complete and the peer is who it should be.
    func secured()
    func received(_ plaintext: RawSpan)
    /// All ciphertext has been taken by the kernel: write more now, as long as `canWrite`, or nothing.
    func refill()
    func ended(_ end: ConnectionEnd)
}

/// Drives a TLS session over a socket: connects, shakes hands, reads, and writes in large pieces.
///
/// Writing is by refill: ciphertext is gathered only when the kernel has taken all that was gathered before. So one
/// system call carries up to 256 KiB, and `refill` also says that everything written earlier was taken.
public final class TLSConnection: ReadinessHandler {
    /// Bytes read, and bytes written, before other sources have their turn.
    static let turnBudget = 1 << 20

    private enum State { case connecting, handshaking, secured, ended }

    private let reactor: Reactor
    private let session: TLSSession
    private weak var handler: (any TLSConnectionHandler)?
    private var source: Source?
    private var state: State
    private var deadline: Timer?
    private var again: Deferred?
    private let ciphertext: ScratchBuffer
    private let plaintext: ScratchBuffer
    private let handshakeLimit: TimeSpan
    /// Why a write within a refill failed; the connection ends after the refill.
    private var writeFailure: ConnectionEnd?
    /// Ciphertext that the kernel took, and gave.
    public private(set) var bytesSent: UInt64 = 0
    public private(set) var bytesReceived: UInt64 = 0

    private init(
        _ descriptor: consuming FileDescriptor,
        session: TLSSession,
        state: State,
        reactor: Reactor,
        connectLimit: TimeSpan,
        handshakeLimit: TimeSpan,
        handler: any TLSConnectionHandler
    ) {
        self.handshakeLimit = handshakeLimit
        self.reactor = reactor
        self.session = session
        self.handler = handler
        self.state = state
        ciphertext = ScratchBuffer(capacity: 64 << 10)
        plaintext = ScratchBuffer(capacity: TLSSession.recordSize)
        source = reactor.watch(descriptor, for: state == .connecting ? .write : .read, handler: self)
        again = reactor.makeDeferred { [unowned self] in self.pump() }
        deadline = reactor.makeTimer { [unowned self] in
            self.end(.timeout(self.state == .connecting ? "connecting" : "TLS handshake"))
        }
        deadline?.arm(after: state == .connecting ? connectLimit : handshakeLimit)
    }

    /// Starts connecting to `address` as a client; everything else is told to `handler`. TCP has `limit` to get there,
    /// and the handshake `handshakeLimit` after it (the same when it is not given).
    public static func connect(
        to address: SocketAddress,
        session: TLSSession,
        reactor: Reactor,
        limit: TimeSpan,
        handshakeLimit: TimeSpan? = nil,
        handler: any TLSConnectionHandler
    ) throws(Errno) -> TLSConnection {
        TLSConnection(
            try address.startConnecting(),
            session: session,
            state: .connecting,
            reactor: reactor,
            connectLimit: limit,
            handshakeLimit: handshakeLimit ?? limit,
            handler: handler
        )
    }

    /// Begins the handshake as a client over a connected descriptor, non-blocking, which it takes.
    public static func connect(
        over descriptor: consuming FileDescriptor,
        session: TLSSession,
        reactor: Reactor,
        handshakeLimit: TimeSpan,
        handler: any TLSConnectionHandler
    ) -> TLSConnection {
        let connection = TLSConnection(
            descriptor,
            session: session,
            state: .handshaking,
            reactor: reactor,
            connectLimit: handshakeLimit,
            handshakeLimit: handshakeLimit,
            handler: handler
        )
        // The first words are the client's: they are made in a turn of their own, so that nothing is told to the
        // handler before it has the connection.
        connection.again?.schedule()
        return connection
    }

    /// Serves a connection that was accepted.
    public static func serve(
        _ descriptor: consuming FileDescriptor,
        session: TLSSession,
        reactor: Reactor,
        limit: TimeSpan,
        handler: any TLSConnectionHandler
    ) -> TLSConnection {
        TLSConnection(
            descriptor,
            session: session,
            state: .handshaking,
            reactor: reactor,
            connectLimit: limit,
            handshakeLimit: limit,
            handler: handler
        )
    }

    public var isOpen: Bool { state != .ended }
    public var isSecured: Bool { state == .secured }
    public var tlsVersion: String { session.version }
    public var isResumed: Bool { session.isResumed }
    public var cipher: String { session.cipher }
    public var peerCertificate: TLSCertificate? { session.peerCertificate }
    public var refusedCertificate: TLSCertificate? { session.refusedCertificate }
    /// For the next connection to the same server.
    public var resumption: TLSResumption? { session.resumption }
    public var localAddress: SocketAddress? { source?.withDescriptor { $0.localAddress } }
    public var remoteAddress: SocketAddress? { source?.withDescriptor { $0.remoteAddress } }

    // MARK: Writing

    /// May another TLS record be written in this refill?
    public var canWrite: Bool { state == .secured && writeFailure == nil && session.canWrite }

    /// Encrypts up to 16,384 bytes, within `refill` while `canWrite`.
    public func write(_ bytes: RawSpan) {
        guard state == .secured, writeFailure == nil else { return }
        switch session.write(bytes) {
        case .bytes: break
        case .needsInput: preconditionFailure("written without room: ask canWrite first")
        case .closed: writeFailure = .peerClosed
        // Not ended here: the caller lends us its chain, and the end may lead back to it.
        case .failed(let error): writeFailure = .tls(error)
        }
    }

    /// There is something to write: asks for a refill, now or when the kernel has taken what is under way.
    public func requestRefill() {
        guard state == .secured else { return }
        again?.schedule()
    }

    private func pump() {
        var written = 0
        if state == .handshaking { advanceHandshake() }
        while state != .ended {
            if session.outgoing.isEmpty && state == .secured { handler?.refill() }
            if let writeFailure { return end(writeFailure) }
            guard state != .ended, let source else { return }
            if session.outgoing.isEmpty {
                source.wait(for: .read)
                return
            }
            switch source.withDescriptor({ fd in session.outgoing.withBytes { fd.send($0) } }) {
            case .bytes(let count):
                session.outgoing.removeFirst(count)
                written += count
                bytesSent += UInt64(count)
            case .wouldBlock:
                source.wait(for: [.read, .write])
                return
            case .failed(let error):
                end(.io(error))
                return
            }
            if written >= TLSConnection.turnBudget {
                again?.schedule()
                return
            }
        }
    }

    // MARK: Reading

    public func handle(_ readiness: Readiness, of source: Source) {
        if state == .connecting {
            if let error = source.withDescriptor({ $0.socketError }) { return end(.connect(error)) }
            state = .handshaking
            deadline?.arm(after: handshakeLimit)
            source.wait(for: .read)
            advanceHandshake()
            return pump()
        }
        if !readiness.isDisjoint(with: [.readable, .hangup, .error]) { readAll() }
        if state != .ended { pump() }
    }

    private func readAll() {
        var total = 0
        while state != .ended, let source, total < TLSConnection.turnBudget {
            switch ciphertext.fill({ output in source.withDescriptor { $0.read(into: &output) } }) {
            case .bytes(0): return end(.peerClosed)
            case .bytes(let count):
                total += count
                bytesReceived += UInt64(count)
                ciphertext.withBytes { bytes in session.receive(bytes) { decrypt() } }
                // A short read emptied the socket; asking again would only say so.
                if count < ciphertext.capacity { return }
            case .wouldBlock: return
            case .failed(let error): return end(.io(error))
            }
        }
    }

    private func advanceHandshake() {
        switch session.handshake() {
        case .bytes:
            state = .secured
            deadline?.cancel()
            handler?.secured()
        case .needsInput: break
        case .closed: end(.peerClosed)
        case .failed(let error): end(.tls(error))
        }
    }

    private func decrypt() {
        if state == .handshaking { advanceHandshake() }
        while state == .secured {
            switch plaintext.fill({ session.read(into: &$0) }) {
            case .bytes: plaintext.withBytes { handler?.received($0) }
            case .needsInput: return
            case .closed: return end(.peerClosed)
            case .failed(let error): return end(.tls(error))
            }
        }
    }

    // MARK: Ending

    /// Closes: says so to the peer if the kernel takes it at once. `ended` is called with `end`.
    public func close(_ end: ConnectionEnd) { self.end(end) }

    /// Closes by a reset: the kernel forgets what was not sent, and a peer that hangs is told without a FIN's patience.
    public func abort(_ end: ConnectionEnd) {
        source?.withDescriptor { $0.resetWhenClosed() }
        self.end(end)
    }

    private func end(_ end: ConnectionEnd) {
        guard state != .ended else { return }
        let wasSecured = state == .secured
        state = .ended
        deadline?.cancel()
        again?.cancel()
        // An alert that says why a handshake failed is still to be sent; so is our close_notify.
        if wasSecured, case .local = end { session.close() }
        if let source, !session.outgoing.isEmpty {
            _ = source.withDescriptor { fd in session.outgoing.withBytes { fd.send($0) } }
        }
        source?.close()
        source = nil
        let handler = self.handler
        self.handler = nil
        handler?.ended(end)
    }
}
