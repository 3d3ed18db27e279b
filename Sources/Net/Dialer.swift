// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
public import Reactor
public import Syscalls

/// Why no connection came about: every address that was tried, and what it said.
public struct DialError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// The name leads to no address.
        case name
        /// The host, or something on the way, said no.
        case refused
        /// There is no way there.
        case unreachable
        /// Nobody said anything.
        case silence
        /// The proxy did not open the way.
        case proxy
        case other
    }

    public let kind: Kind
    public let description: String

    public init(kind: Kind, description: String) {
        self.kind = kind
        self.description = description
    }
}

/// What dialling came to.
public enum DialOutcome: ~Copyable {
    /// A connected, non-blocking TCP socket, the receiver's from here on.
    case connected(FileDescriptor)
    case failed(DialError)
}

/// From a host and a port to a connected socket.
public enum Dialer {
    /// The next address is tried beside the one under way after this (RFC 8305 section 8: 250 ms).
    static let stagger = TimeSpan.milliseconds(250)
    /// Addresses of a name that are tried at most: what a round-robin name has, and a limit for one that is hostile.
    static let addressLimit = 8

    /// Resolves `host`, a name or a literal, races its addresses, and asks `proxy` for a tunnel if there is one, all
    /// within `limit`. `completion` is called once, in a later turn; not after `cancel`.
    public static func dial(
        host: String,
        port: UInt16,
        via proxy: Proxy?,
        resolver: Resolver,
        reactor: Reactor,
        limit: TimeSpan,
        completion: @escaping (consuming DialOutcome) -> Void
    ) -> Dialing {
        let dialing = Dialing(
            target: Self.name(host, port),
            near: proxy.map { Self.name($0.host, $0.port) } ?? Self.name(host, port),
            proxy: proxy,
            reactor: reactor,
            completion: completion
        )
        dialing.start(proxy?.host ?? host, proxy?.port ?? port, resolver, limit)
        return dialing
    }

    private static func name(_ host: String, _ port: UInt16) -> String {
        host.utf8.contains(0x3a) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Families in turn, the first one's first (RFC 8305 section 4).
    static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first else { return [] }
        let same = addresses.filter { $0.isIPv6 == first.isIPv6 }
        let other = addresses.filter { $0.isIPv6 != first.isIPv6 }
        var result: [SocketAddress] = []
        for index in 0..<max(same.count, other.count) {
            if index < same.count { result.append(same[index]) }
            if index < other.count { result.append(other[index]) }
        }
        return Array(result.prefix(addressLimit))
    }
}

/// A connection on its way.
public final class Dialing {
    private let target: String
    /// Whom the sockets connect to: the proxy, or the target itself.
    private let near: String
    private let proxy: Proxy?
    private let reactor: Reactor
    private var completion: ((consuming DialOutcome) -> Void)?
    private var query: NameQuery?
    private var addresses: ArraySlice<SocketAddress> = []
    private var attempts: [Attempt] = []
    private var tunnel: Tunnel?
    private var failures: [String] = []
    private var lastError: Errno?
    private lazy var staggerTimer = reactor.makeTimer { [unowned self] in self.tryNext() }
    private lazy var limitTimer = reactor.makeTimer { [unowned self] in self.timedOut() }

    fileprivate init(
        target: String,
        near: String,
        proxy: Proxy?,
        reactor: Reactor,
        completion: @escaping (consuming DialOutcome) -> Void
    ) {
        self.target = target
        self.near = near
        self.proxy = proxy
        self.reactor = reactor
        self.completion = completion
    }

    fileprivate func start(_ host: String, _ port: UInt16, _ resolver: Resolver, _ limit: TimeSpan) {
        limitTimer.arm(after: limit)
        query = resolver.resolve(host, port: port) { [unowned self] result in
            self.query = nil
            switch result {
            case .success(let found):
                self.addresses = Dialer.interleaved(found)[...]
                self.tryNext()
            case .failure(let error): self.fail(.name, "\(error)")
            }
        }
    }

    /// Gives up; `completion` is not called.
    public func cancel() {
        completion = nil
        close()
    }

    // MARK: The race

    private func tryNext() {
        staggerTimer.cancel()
        guard let address = addresses.popFirst() else { return }
        do throws(Errno) {
            attempts.append(Attempt(try address.startConnecting(), to: address, of: self, reactor: reactor))
            if !addresses.isEmpty { staggerTimer.arm(after: Dialer.stagger) }
        } catch {
            attemptFailed(address, error)
        }
    }

    fileprivate func ended(_ attempt: Attempt) {
        guard let source = attempt.source else { return }
        if let error = source.withDescriptor({ $0.socketError }) {
            source.close()
            attempts.removeAll { $0 === attempt }
            return attemptFailed(attempt.address, error)
        }
        guard let descriptor = source.takeDescriptor() else { return }
        closeAttempts()
        guard let proxy else { return succeed(descriptor) }
        let exchange = ConnectExchange(target: target, credentials: proxy.credentials)
        tunnel = Tunnel(descriptor, exchange: exchange, of: self, reactor: reactor)
    }

    private func attemptFailed(_ address: SocketAddress, _ error: Errno) {
        failures.append("\(address): \(error)")
        lastError = error
        if !addresses.isEmpty { return tryNext() }
        if attempts.isEmpty { fail(kind(error), "cannot connect: \(failures.joined(separator: "; "))") }
    }

    private func kind(_ error: Errno) -> DialError.Kind {
        switch error.rawValue {
        case ECONNREFUSED, ECONNRESET: .refused
        case ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL: .unreachable
        case ETIMEDOUT: .silence
        default: .other
        }
    }

    private func timedOut() {
        if query != nil { return fail(.name, "the name of \(near) was not resolved in time") }
        if tunnel != nil { return fail(.proxy, "it did not answer in time") }
        let waiting = attempts.map { "\($0.address): no answer in time" }
        let kind = attempts.isEmpty ? lastError.map(kind) ?? .silence : .silence
        fail(kind, "cannot connect: \((failures + waiting).joined(separator: "; "))")
    }

    // MARK: The end

    fileprivate func tunnelOpened(_ descriptor: consuming FileDescriptor) { succeed(descriptor) }

    fileprivate func fail(_ kind: DialError.Kind, _ reason: String) {
        let text = proxy == nil ? reason : "proxy \(near): \(reason)"
        let completion = self.completion
        cancel()
        completion?(.failed(DialError(kind: kind, description: text)))
    }

    private func succeed(_ descriptor: consuming FileDescriptor) {
        let completion = self.completion
        cancel()
        completion?(.connected(descriptor))
    }

    private func closeAttempts() {
        staggerTimer.cancel()
        for attempt in attempts { attempt.source?.close() }
        attempts = []
    }

    private func close() {
        limitTimer.cancel()
        query?.cancel()
        query = nil
        closeAttempts()
        tunnel?.source?.close()
        tunnel = nil
    }
}

/// One address being tried.
private final class Attempt: ReadinessHandler {
    let address: SocketAddress
    private unowned let dialing: Dialing
    private(set) var source: Source?

    init(_ descriptor: consuming FileDescriptor, to address: SocketAddress, of dialing: Dialing, reactor: Reactor) {
        self.address = address
        self.dialing = dialing
        source = reactor.watch(descriptor, for: .write, handler: self)
    }

    func handle(_ readiness: Readiness, of source: Source) { dialing.ended(self) }
}

/// The talk with a proxy over a connected socket.
private final class Tunnel: ReadinessHandler {
    private var exchange: ConnectExchange
    private unowned let dialing: Dialing
    private(set) var source: Source?
    private var sent = 0

    init(
        _ descriptor: consuming FileDescriptor,
        exchange: ConnectExchange,
        of dialing: Dialing,
        reactor: Reactor
    ) {
        self.exchange = exchange
        self.dialing = dialing
        source = reactor.watch(descriptor, for: .write, handler: self)
    }

    func handle(_ readiness: Readiness, of source: Source) {
        if sent < exchange.request.count { send(source) } else { receive(source) }
    }

    private func send(_ source: Source) {
        let (request, start) = (exchange.request, sent)
        switch source.withDescriptor({ fd in unsafe fd.send(request.span.bytes.extracting(droppingFirst: start)) }) {
        case .bytes(let count): sent += count
        case .wouldBlock: return
        case .failed(let error): return dialing.fail(.proxy, "\(error)")
        }
        if sent == request.count { source.wait(for: .read) }
    }

    private func receive(_ source: Source) {
        var bytes: [UInt8] = []
        do throws(Errno) {
            try source.withDescriptor { fd throws(Errno) in try fd.readChunk(appendingTo: &bytes, capacity: 4096) }
        } catch {
            return error == .again ? () : dialing.fail(.proxy, "\(error)")
        }
        guard !bytes.isEmpty else { return dialing.fail(.proxy, "it closed the connection without an answer") }
        do throws(ConnectExchange.Refusal) {
            guard try unsafe exchange.received(bytes.span.bytes), let descriptor = source.takeDescriptor() else {
                return
            }
            dialing.tunnelOpened(descriptor)
        } catch {
            dialing.fail(.proxy, "\(error)")
        }
    }
}
