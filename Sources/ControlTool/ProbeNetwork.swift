// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Net
import Reactor
import Syscalls
import TLS
import Transport

/// The agent's own ways to the network, for one who waits for each of them.
final class ProbeNetwork {
    private let reactor: Reactor
    private let resolver: Resolver
    private let limit: TimeSpan

    init(limit: TimeSpan) throws(Errno) {
        self.limit = limit
        reactor = try Reactor()
        resolver = Resolver(reactor: reactor)
    }

    /// Turns the loop until `isDone`. What is waited for has a limit of its own.
    private func wait(until isDone: () -> Bool) {
        while !isDone() {
            do throws(Errno) { try reactor.turn(wait: true) } catch { return }
        }
    }

    func dial(_ host: String, _ port: UInt16, via proxy: Proxy?) -> DialOutcome {
        var connected: FileDescriptor?
        var failure: DialError?
        var isDone = false
        let dialing = Dialer.dial(
            host: host,
            port: port,
            via: proxy,
            resolver: resolver,
            reactor: reactor,
            limit: limit
        ) { outcome in
            isDone = true
            switch consume outcome {
            case .connected(let descriptor): connected = consume descriptor
            case .failed(let error): failure = error
            }
        }
        wait { isDone }
        withExtendedLifetime(dialing) {}
        if let descriptor = connected.take() { return .connected(descriptor) }
        return .failed(failure ?? DialError(kind: .other, description: "the event loop failed"))
    }

    func exchange(
        _ request: HTTPRequest,
        over descriptor: consuming FileDescriptor
    ) -> Result<HTTPExchange.Response, HTTPExchange.Failure> {
        var result: Result<HTTPExchange.Response, HTTPExchange.Failure>?
        let exchange = HTTPExchange(
            request,
            over: descriptor,
            reactor: reactor,
            limit: limit,
            bodyLimit: 1 << 20
        ) { result = $0 }
        wait { result != nil }
        withExtendedLifetime(exchange) {}
        return result ?? .failure(HTTPExchange.Failure(description: "the event loop failed"))
    }

    /// Makes the connection secure, waits for the server's HTTP/2, and makes the call when there is an id for it.
    func probe(
        _ endpoint: TransferSettings.Endpoint,
        over descriptor: consuming FileDescriptor,
        context: TLSContext,
        serverName: String,
        agentID: String?
    ) -> TransferProbe.Outcome {
        let probe = TransferProbe(endpoint, agentID: agentID, limit: limit, reactor: reactor)
        probe.start(over: descriptor, context: context, serverName: serverName)
        wait { probe.outcome != nil }
        return probe.outcome ?? TransferProbe.Outcome()
    }
}
