// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import HTTP2
import Logging
import Net
import Reactor
import Syscalls
import TLS

// The way to a connection: one round after the other, each server once in a round, a pause between rounds.
extension TransferClient {
    func beginRound() {
        guard connection == nil, !isStopping else { return }
        cancelAttempt()
        plan = nil
        guard !settings.region.isEmpty else {
            let reason =
                "region \(settings.regionName) has no servers; add service_discovery, private or public to "
                + "[region \"\(settings.regionName)\"], or set `region` in [agent] to one that has"
            // The configuration's own diagnostic was the error line; this one is for the state.
            log.info("no server is configured: \(reason)")
            state = .waiting(reason: reason)
            return
        }
        discover(0)
    }

    /// Neither dials nor waits for the next attempt any more.
    func cancelAttempt() {
        retryTimer.cancel()
        nextAttempt.cancel()
        dialing?.cancel()
        dialing = nil
        exchange?.cancel()
        exchange = nil
    }

    // MARK: Service Discovery

    /// Asks the discovery of that number; when none is left, the round begins without.
    private func discover(_ index: Int) {
        guard settings.region.discovery.indices.contains(index) else { return begin(discovered: []) }
        let endpoint = settings.region.discovery[index]
        state = .discovering("\(endpoint)")
        let started = MonotonicTime.now()
        let proxy = settings.proxyEnvironment.proxy(forHost: endpoint.host, port: endpoint.port)
        let (host, port) = proxy.map { ($0.host, $0.port) } ?? (endpoint.host, endpoint.port)
        dialing = Dialer.dial(
            host: host,
            port: port,
            via: nil,
            resolver: resolver,
            reactor: reactor,
            limit: settings.discoveryLimit
        ) { [unowned self] result in
            self.dialing = nil
            switch consume result {
            case .connected(let descriptor):
                let left = settings.discoveryLimit.nanoseconds - (MonotonicTime.now() - started).nanoseconds
                self.ask(endpoint, index, over: descriptor, proxy: proxy, limit: TimeSpan(nanoseconds: max(1, left)))
            case .failed(let error): self.discoveryFailed(endpoint, index, Self.through(proxy) + "\(error)")
            }
        }
    }

    private func ask(
        _ endpoint: TransferSettings.Endpoint,
        _ index: Int,
        over descriptor: consuming FileDescriptor,
        proxy: ProxyEnvironment.Address?,
        limit: TimeSpan
    ) {
        exchange = HTTPExchange(
            ServiceDiscovery.request(to: endpoint, via: proxy),
            over: descriptor,
            reactor: reactor,
            limit: limit,
            bodyLimit: ServiceDiscovery.bodyLimit
        ) { [unowned self] result in
            self.exchange = nil
            switch result {
            case .success(let response): self.interpret(response, endpoint, index)
            case .failure(let error): self.discoveryFailed(endpoint, index, Self.through(proxy) + "\(error)")
            }
        }
    }

    /// The environment's proxy is part of the way, and easily forgotten.
    private static func through(_ proxy: ProxyEnvironment.Address?) -> String {
        proxy.map { "through the proxy \($0.host):\($0.port) (http_proxy): " } ?? ""
    }

    private func interpret(_ response: HTTPExchange.Response, _ endpoint: TransferSettings.Endpoint, _ index: Int) {
        do throws(DiscoveryError) {
            let found = try ServiceDiscovery.servers(in: response, using: &random)
            log.info("service discovery at \(endpoint) names \(found.count) servers")
            begin(discovered: found)
        } catch {
            discoveryFailed(endpoint, index, "\(error)")
        }
    }

    private func discoveryFailed(_ endpoint: TransferSettings.Endpoint, _ index: Int, _ reason: String) {
        log.warning("service discovery at \(endpoint): \(reason)")
        lastFailure = "service discovery at \(endpoint): \(reason)"
        discover(index + 1)
    }

    // MARK: Servers

    private func begin(discovered: [TransferSettings.Endpoint]) {
        plan = EndpointPlan(discovered: discovered, region: settings.region, avoiding: avoided)
        attemptNext()
    }

    func attemptNext() {
        guard connection == nil, !isStopping else { return }
        guard let next = plan?.next() else { return scheduleRetry(lastFailure) }
        attempt(next)
    }

    func attempt(_ candidate: Candidate) {
        self.candidate = candidate
        let endpoint = candidate.endpoint
        endReason = nil
        state = .connecting("\(endpoint)")
        dialing = Dialer.dial(
            host: endpoint.host,
            port: endpoint.port,
            via: settings.proxy,
            resolver: resolver,
            reactor: reactor,
            limit: settings.connectLimit
        ) { [unowned self] result in
            self.dialing = nil
            switch consume result {
            case .connected(let descriptor): self.secure(descriptor, to: endpoint)
            case .failed(let error): self.attemptFailed("\(error)")
            }
        }
    }

    private func secure(_ descriptor: consuming FileDescriptor, to endpoint: TransferSettings.Endpoint) {
        // Bytes that nobody acknowledges for as long as silence would be suffered end the connection in the kernel.
        let patience = settings.keepalive.nanoseconds + settings.keepaliveTimeout.nanoseconds
        descriptor.setUserTimeout(milliseconds: Int(patience / 1_000_000))
        let context: TLSContext
        do throws(TLSError) {
            context = try currentContext()
        } catch {
            return attemptFailed("\(error)")
        }
        do throws(ConnectionEnd) {
            connection = try HTTP2Connection.connect(
                over: descriptor,
                context: context,
                serverName: settings.serverName,
                resumption: resumptions.take(endpoint),
                reactor: reactor,
                handshakeLimit: settings.handshakeLimit,
                options: HTTP2Session.Options(window: Self.receiveWindow),
                handler: self,
                owner: self
            )
        } catch {
            attemptFailed("\(error)")
        }
    }

    /// One server did not lead to a stream: the next one is tried at once, and after all of them comes a pause.
    func attemptFailed(_ reason: String) {
        guard let candidate else { return }
        if retryAtOnce {
            retryAtOnce = false
            log.warning("\(candidate.endpoint): \(reason)")
            state = .waiting(reason: reason)
            return attempt(candidate)
        }
        log.error("cannot use \(candidate.endpoint): \(reason)")
        lastFailure = "\(candidate.endpoint): \(reason)"
        state = .waiting(reason: lastFailure)
        nextAttempt.schedule()
    }

    func scheduleRetry(_ reason: String) {
        plan = nil
        let delay = backoff.next(using: &random)
        state = .waiting(reason: reason)
        log.info("next attempt in \(delay.nanoseconds / 1_000_000) ms")
        retryTimer.arm(after: delay)
    }
}
