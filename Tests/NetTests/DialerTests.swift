// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Net
import Reactor
import Syscalls
import TestSupport
import Testing

/// Names come from dnsmasq, a name server that is not ours; addresses are all of this host.
@Suite(.serialized)
final class DialerTests {
    private let reactor: Reactor
    private var server: NameServer?

    init() throws { reactor = try Reactor() }

    private func resolver() throws -> Resolver {
        let server = try NameServer()
        self.server = server
        var options = Resolver.Options()
        options.servers = "127.0.0.1:\(server.port)"
        return Resolver(reactor: reactor, options: options)
    }

    private func resolve(_ name: String, _ resolver: Resolver) throws -> Result<[SocketAddress], ResolveError> {
        var result: Result<[SocketAddress], ResolveError>?
        let query = resolver.resolve(name, port: 6751) { result = $0 }
        #expect(result == nil, "never at once")
        try withExtendedLifetime(query) { try reactor.run { result != nil } }
        #expect(reactor.sourceCount == 0)
        return try #require(result)
    }

    /// What dialling came to: nil for a connection, which is closed again, or why there is none.
    private func dial(_ host: String, _ port: UInt16, via proxy: Proxy? = nil, _ resolver: Resolver) throws -> String? {
        var outcome: String??
        let dialing = Dialer.dial(
            host: host,
            port: port,
            via: proxy,
            resolver: resolver,
            reactor: reactor,
            limit: .seconds(20)
        ) { result in
            switch consume result {
            case .connected(let descriptor):
                _ = consume descriptor
                outcome = .some(nil)
            case .failed(let error): outcome = .some(error.description)
            }
        }
        try withExtendedLifetime(dialing) { try reactor.run { outcome != nil } }
        return try #require(outcome)
    }

    @Test func literalsAndLocalhostNeedNoServer() throws {
        // Nobody listens there.
        var options = Resolver.Options()
        options.servers = "127.0.0.1:1"
        let resolver = Resolver(reactor: reactor, options: options)
        for literal in ["127.0.0.1", "::1"] {
            let expected = try #require(SocketAddress(literal: literal, port: 6751))
            #expect(try resolve(literal, resolver).get() == [expected])
        }
        for name in ["localhost", "LOCALHOST.", "agent.localhost"] {
            let local = try resolve(name, resolver).get().map(\.description)
            #expect(local == ["127.0.0.1:6751", "[::1]:6751"])
        }
        #expect(throws: ResolveError.self) { try resolve("notlocalhost", resolver).get() }
    }

    @Test func findsAllAddressesOfBothFamilies() throws {
        let resolver = try resolver()
        let found = try Set(resolve("many.test", resolver).get().map(\.description))
        #expect(found == ["127.0.0.9:6751", "127.0.0.1:6751", "[::1]:6751"])
    }

    @Test func saysWhyThereIsNone() throws {
        let resolver = try resolver()
        #expect(
            try resolve("unknown.test", resolver)
                == .failure(
                    ResolveError(
                        name: "unknown.test",
                        reason: "the name servers do not know it; check the spelling in the configuration"
                    )
                )
        )
        server = nil
        guard case .failure(let error) = try resolve("many.test", resolver) else {
            Issue.record("resolved without a server")
            return
        }
        #expect(error.reason.hasPrefix("no name server answers"))
        #expect(error.reason.hasSuffix("check /etc/resolv.conf"))
    }

    /// The file that names the servers is read for each query.
    @Test(.enabled(if: geteuid() == 0, "needs port 53 of a loopback address"))
    func noticesThatTheConfigurationChanged() throws {
        let server = try NameServer(address: "127.77.0.1", port: 53)
        self.server = server
        let file = try Certificates.write("nameserver 127.77.0.9\n", as: "resolv.conf")
        var options = Resolver.Options()
        options.configuration = file
        let resolver = Resolver(reactor: reactor, options: options)
        #expect(throws: ResolveError.self) { try resolve("many.test", resolver).get() }
        let output = try FileDescriptor.open(file, .truncate)
        unsafe try output.writeAll(Array("nameserver 127.77.0.1\n".utf8).span.bytes)
        #expect(try resolve("many.test", resolver).get().count == 3)
    }

    /// Two of three addresses refuse.
    @Test func findsTheAddressThatAnswers() throws {
        let resolver = try resolver()
        var accepted = 0
        let listener = try Listener(reactor) { _ in accepted += 1 }
        let port = try #require(UInt16(listener.address.description.split(separator: ":").last ?? ""))
        #expect(try dial("many.test", port, resolver) == nil)
        try reactor.run { accepted == 1 }
        listener.close()
        let failure = try #require(try dial("many.test", port, resolver))
        for address in ["127.0.0.1:\(port)", "127.0.0.9:\(port)", "[::1]:\(port)"] {
            #expect(failure.contains("\(address): "), "\(failure)")
        }
        #expect(failure.hasPrefix("cannot connect: "))
        #expect(reactor.sourceCount == 0)
    }

    @Test func takesTheWayThroughAProxy() throws {
        let resolver = Resolver(reactor: reactor)
        let proxy = try ScriptedProxy(reactor, ["HTTP/1.1 200 Conn", "ection established\r\n\r", "\n"])
        let address = Proxy(host: "127.0.0.1", port: proxy.port, credentials: "u:p")
        #expect(try dial("far.test", 6751, via: address, resolver) == nil)
        #expect(proxy.heard.hasPrefix("CONNECT far.test:6751 HTTP/1.1\r\nHost: far.test:6751\r\n"))
        #expect(proxy.heard.contains("\r\nProxy-Authorization: Basic dTpw\r\n"))
        proxy.close()
        let refusing = try ScriptedProxy(reactor, ["HTTP/1.1 403 Forbidden\r\n\r\n"])
        let failure = try dial("far.test", 6751, via: Proxy(host: "127.0.0.1", port: refusing.port), resolver)
        #expect(failure == "proxy 127.0.0.1:\(refusing.port): the proxy refused: 403 Forbidden")
        refusing.close()
        #expect(reactor.sourceCount == 0)
    }

    /// Nothing is left open, whenever it is cancelled.
    @Test func canBeCancelledAtEveryStage() throws {
        let resolver = try resolver()
        let listener = try Listener(reactor) { _ in }
        let port = try #require(UInt16(listener.address.description.split(separator: ":").last ?? ""))
        for turns in 0...4 {
            var isCancelled = false
            let dialing = Dialer.dial(
                host: "many.test",
                port: port,
                via: Proxy(host: "127.0.0.1", port: port),
                resolver: resolver,
                reactor: reactor,
                limit: .seconds(20)
            ) { _ in #expect(!isCancelled) }
            for _ in 0..<turns { try reactor.turn(wait: false) }
            dialing.cancel()
            isCancelled = true
            #expect(reactor.sourceCount == 1, "the listener alone")
        }
        listener.close()
    }
}

/// dnsmasq with a few names.
private final class NameServer {
    let port: UInt16
    private let pid: CInt

    init(address: String = "127.0.0.1", port wanted: UInt16? = nil) throws {
        let paths = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq"]
        let program = try #require(paths.first { unsafe access($0, X_OK) == 0 }, "dnsmasq is not installed")
        var free = wanted
        if free == nil {
            let any = try #require(SocketAddress(literal: address, port: 0))
            free = try any.listen().port
        }
        let port = try #require(free)
        self.port = port
        pid = try Child(
            program,
            [
                "--keep-in-foreground", "--conf-file=/dev/null", "--port=\(port)", "--listen-address=\(address)",
                "--bind-interfaces", "--no-resolv", "--no-hosts", "--local=/test/", "--user=root", "--pid-file=",
                "--host-record=many.test,127.0.0.9,::1", "--host-record=many.test,127.0.0.1",
            ]
        ).start()
        try waitUntilItAnswers(address)
    }

    /// It answers by TCP as soon as it does by UDP.
    private func waitUntilItAnswers(_ address: String) throws {
        let target = try #require(SocketAddress(literal: address, port: port))
        let reactor = try Reactor()
        for _ in 0..<500 {
            let waiting = Connecting(try target.startConnecting(), reactor)
            try reactor.run { waiting.error != nil }
            if waiting.error == .some(nil) { return }
            usleep(10_000)
        }
        Issue.record("dnsmasq does not listen")
    }

    private final class Connecting: ReadinessHandler {
        private(set) var error: Errno??
        private var source: Source?

        init(_ descriptor: consuming FileDescriptor, _ reactor: Reactor) {
            source = reactor.watch(descriptor, for: .write, handler: self)
        }

        func handle(_ readiness: Readiness, of source: Source) {
            error = .some(source.withDescriptor { $0.socketError })
            source.close()
        }
    }

    deinit {
        kill(pid, SIGKILL)
        _ = Child.reap(pid)
    }
}

/// Answers whatever it is asked with the given pieces, one in each turn.
private final class ScriptedProxy: ReadinessHandler {
    private(set) var heard = ""
    private var pieces: ArraySlice<String>
    private var listener: Listener?
    private var source: Source?

    var port: UInt16 { UInt16(listener?.address.description.split(separator: ":").last ?? "") ?? 0 }

    init(_ reactor: Reactor, _ pieces: [String]) throws {
        self.pieces = pieces[...]
        listener = try Listener(reactor) { [unowned self] descriptor in
            self.source = reactor.watch(descriptor, for: .read, handler: self)
        }
    }

    func handle(_ readiness: Readiness, of source: Source) {
        if readiness.contains(.readable) {
            let (result, bytes) = collecting(4096) { output in source.withDescriptor { $0.read(into: &output) } }
            if result == .bytes(0) { return source.close() }
            heard += String(decoding: bytes, as: UTF8.self)
        }
        guard heard.hasSuffix("\r\n\r\n"), let piece = pieces.popFirst() else { return source.wait(for: .read) }
        _ = source.withDescriptor { fd in Array(piece.utf8).withBytes { fd.send($0) } }
        source.wait(for: pieces.isEmpty ? .read : .write)
    }

    func close() {
        source?.close()
        listener?.close()
    }
}
