// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CAres
public import Reactor
public import Syscalls

/// Why a name has no addresses.
public struct ResolveError: Error, Equatable, Sendable, CustomStringConvertible {
    public let name: String
    public let reason: String

    public init(name: String, reason: String) {
        self.name = name
        self.reason = reason
    }

    public var description: String { "the name \(name) cannot be resolved: \(reason)" }
}

/// Finds the addresses of names, by c-ares and thus without blocking: /etc/hosts, then the servers of resolv.conf. "localhost" is
/// this host without either.
///
/// Each query has a channel of its own, which reads both files: names are asked for seldom, and a change of either file
/// counts from the next query on.
public final class Resolver {
    /// What differs from the system's ways, for tests.
    public struct Options: Sendable {
        /// Instead of /etc/resolv.conf.
        public var configuration: String?
        /// "address:port,…" instead of the servers of the file.
        public var servers: String?
        public init() {}
    }

    /// For one server to answer, and how often all are asked: a lost datagram costs two seconds, and the caller's own
    /// limit bounds the whole.
    static let timeoutMilliseconds: CInt = 2000
    static let tries: CInt = 3

    let reactor: Reactor
    let options: Options

    private static let isReady = ares_library_init(CInt(ARES_LIB_INIT_ALL)) == CAres_SUCCESS

    public init(reactor: Reactor, options: Options = Options()) {
        precondition(Self.isReady, "c-ares cannot be initialised")
        self.reactor = reactor
        self.options = options
    }

    /// Asks for all addresses of `name`, an IPv4 or IPv6 literal included, with `port` in them. `completion` is called
    /// once, in a later turn; not after `cancel`.
    public func resolve(
        _ name: String,
        port: UInt16,
        completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
    ) -> NameQuery {
        NameQuery(name, port: port, resolver: self, completion: completion)
    }
}

/// One name being asked for. c-ares owns the sockets; what the reactor watches is a duplicate of each.
@safe
public final class NameQuery {
    private let name: String
    private let reactor: Reactor
    private var channel: OpaquePointer?
    private var watches: [CInt: Watch] = [:]
    private var result: Result<[SocketAddress], ResolveError>?
    private var completion: ((Result<[SocketAddress], ResolveError>) -> Void)?
    private lazy var timer = reactor.makeTimer { [unowned self] in self.process(readable: -1, writable: -1) }
    private lazy var finish = reactor.makeDeferred { [unowned self] in self.complete() }

    fileprivate init(
        _ name: String,
        port: UInt16,
        resolver: Resolver,
        completion: @escaping (Result<[SocketAddress], ResolveError>) -> Void
    ) {
        self.name = name
        self.completion = completion
        reactor = resolver.reactor
        if let literal = SocketAddress(literal: name, port: port) {
            settle(.success([literal]))
        } else if Self.isLocalhost(name) {
            settle(.success(["127.0.0.1", "::1"].compactMap { SocketAddress(literal: $0, port: port) }))
        } else {
            ask(port, resolver.options)
        }
    }

    deinit { if let channel = unsafe channel { unsafe ares_destroy(channel) } }

    /// This host by its reserved name, which no server of names is asked for (RFC 6761 section 6.3): containers and
    /// chroots may have no /etc/hosts.
    private static func isLocalhost(_ name: String) -> Bool {
        let lowered = name.lowercased()
        let plain = lowered.hasSuffix(".") ? String(lowered.dropLast()) : lowered
        return plain == "localhost" || plain.hasSuffix(".localhost")
    }

    /// Forgets the query; `completion` is not called.
    public func cancel() {
        completion = nil
        close()
    }

    private func ask(_ port: UInt16, _ options: Resolver.Options) {
        let this = unsafe Unmanaged.passUnretained(self).toOpaque()
        var channel: OpaquePointer?
        let status = unsafe CAres_open(
            &channel,
            { data, socket, readable, writable in
                guard let data = unsafe data else { return }
                let query = unsafe Unmanaged<NameQuery>.fromOpaque(data).takeUnretainedValue()
                query.stateChanged(socket, readable != 0, writable != 0)
            },
            this,
            Resolver.timeoutMilliseconds,
            Resolver.tries,
            options.configuration
        )
        guard status == CAres_SUCCESS, let channel = unsafe channel else {
            return settle(.failure(error(status)))
        }
        unsafe self.channel = channel
        if let servers = options.servers {
            let status = unsafe ares_set_servers_ports_csv(channel, servers)
            guard status == CAres_SUCCESS else { return settle(.failure(error(status))) }
        }
        unsafe CAres_lookup(
            channel,
            name,
            UInt32(port),
            { data, status, _, found in
                guard let data = unsafe data else { return }
                // The channel is destroyed with the query, which is then no more.
                if status == CAres_EDESTRUCTION || status == CAres_ECANCELLED { return }
                let query = unsafe Unmanaged<NameQuery>.fromOpaque(data).takeUnretainedValue()
                unsafe query.answered(status, found)
            },
            this
        )
        rearm()
    }

    /// Called by c-ares within `process` or `ask`: nothing of it may be destroyed here.
    private func answered(_ status: CInt, _ found: UnsafeMutablePointer<ares_addrinfo>?) {
        defer { if let found = unsafe found { unsafe ares_freeaddrinfo(found) } }
        guard status == CAres_SUCCESS else { return settle(.failure(error(status))) }
        var addresses: [SocketAddress] = []
        var node = unsafe found?.pointee.nodes
        while let entry = unsafe node {
            let bytes = unsafe UnsafeRawBufferPointer(
                start: entry.pointee.ai_addr,
                count: Int(entry.pointee.ai_addrlen)
            )
            if let address = unsafe SocketAddress(kernelForm: bytes), !addresses.contains(address) {
                addresses.append(address)
            }
            unsafe node = entry.pointee.ai_next
        }
        settle(
            addresses.isEmpty ? .failure(ResolveError(name: name, reason: "it has no address")) : .success(addresses)
        )
    }

    private func error(_ status: CInt) -> ResolveError {
        let reason: String
        switch status {
        case CAres_ENOTFOUND, CAres_ENODATA:
            reason = "the name servers do not know it; check the spelling in the configuration"
        case CAres_ETIMEOUT, CAres_ECONNREFUSED, CAres_ESERVFAIL:
            reason = "no name server answers (\(text(status))); check /etc/resolv.conf"
        default: reason = text(status)
        }
        return ResolveError(name: name, reason: reason)
    }

    private func text(_ status: CInt) -> String {
        unsafe ares_strerror(status).map { unsafe String(cString: $0) } ?? "error \(status)"
    }

    // MARK: Sockets and time

    private func stateChanged(_ socket: CInt, _ readable: Bool, _ writable: Bool) {
        guard readable || writable else {
            watches.removeValue(forKey: socket)?.source?.close()
            return
        }
        let watch = watches[socket] ?? Watch(socket, query: self, reactor: reactor)
        watches[socket] = watch
        watch?.source?.wait(for: readable ? (writable ? [.read, .write] : .read) : .write)
    }

    fileprivate func process(readable: CInt, writable: CInt) {
        guard let channel = unsafe channel, result == nil else { return }
        unsafe CAres_process(channel, readable, writable)
        rearm()
    }

    private func rearm() {
        guard let channel = unsafe channel, result == nil else { return timer.cancel() }
        let wait = unsafe CAres_wait(channel)
        if wait < 0 { timer.cancel() } else { timer.arm(after: .milliseconds(Int64(wait))) }
    }

    private func settle(_ result: Result<[SocketAddress], ResolveError>) {
        guard self.result == nil else { return }
        self.result = result
        finish.schedule()
    }

    private func complete() {
        let completion = self.completion
        self.completion = nil
        close()
        if let result { completion?(result) }
    }

    private func close() {
        timer.cancel()
        finish.cancel()
        let watches = self.watches.values
        self.watches = [:]
        for watch in watches { watch.source?.close() }
        guard let channel = unsafe channel else { return }
        unsafe self.channel = nil
        unsafe ares_destroy(channel)
    }

    fileprivate final class Watch: ReadinessHandler {
        private let socket: CInt
        private unowned let query: NameQuery
        private(set) var source: Source?

        init?(_ socket: CInt, query: NameQuery, reactor: Reactor) {
            self.socket = socket
            self.query = query
            guard let copy = FileDescriptor.duplicate(of: socket) else { return nil }
            source = reactor.watch(copy, for: [], handler: self)
        }

        func handle(_ readiness: Readiness, of source: Source) {
            let failed = !readiness.isDisjoint(with: [.error, .hangup])
            query.process(
                readable: failed || readiness.contains(.readable) ? socket : -1,
                writable: readiness.contains(.writable) ? socket : -1
            )
        }
    }
}
