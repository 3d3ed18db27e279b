// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Glibc
import HTTP1
import JSON
import Net
import Reactor
import Syscalls
import TLS
import Transport

/// Doctor's steps on the way to a server, taken as the agent takes them, one after the other.
final class NetworkChecks {
    /// Servers that are tried: enough to see whether one works, few enough to wait for.
    private static let serverLimit = 6
    /// Seconds by which a clock may be wrong before that is worth a word, and before certificates are.
    private static let skewNotice = 60.0
    private static let skewLimit = 86_400.0

    private let configuration: AgentConfiguration
    private let proxies: ProxyEnvironment
    private let identity: String
    private let agent: JSONValue?
    private let isIDInUse: Bool
    private let limit: TimeSpan
    private var random = SystemRandomNumberGenerator()
    /// How far this host's clock is ahead of somebody else's, as far as that is known.
    private var skew: Double?

    /// - Parameters:
    ///   - identity: of the agent on this host.
    ///   - agent: what the running agent says, when there is one.
    ///   - isIDInUse: whether an agent may have the id at a server: then no call is made under it.
    ///   - seconds: for each step.
    init(
        configuration: AgentConfiguration,
        identity: String,
        environment: [String: String],
        agent: JSONValue?,
        isIDInUse: Bool,
        seconds: Int
    ) {
        self.isIDInUse = isIDInUse
        self.configuration = configuration
        self.identity = identity
        proxies = ProxyEnvironment(environment)
        self.agent = agent
        limit = .seconds(Int64(seconds))
    }

    func findings() -> [Finding] {
        let name = configuration.agent.region
        guard let region = configuration.regions[name], !region.isEmpty else {
            return [
                .bad(
                    "region \(name)",
                    "servers",
                    "no_region",
                    "it names no servers",
                    "add service_discovery, private or public to [region \"\(name)\"], or set another region"
                )
            ]
        }
        let network: ProbeNetwork
        do throws(Errno) { network = try ProbeNetwork(limit: limit) } catch {
            return [.bad("network", "sockets", "network", "no event loop: \(error)", "look at ulimit -n")]
        }
        return walk(region, network)
    }

    private func walk(_ configured: AgentConfiguration.Region, _ network: ProbeNetwork) -> [Finding] {
        var region = TransferSettings.Region()
        region.discovery = configured.serviceDiscovery.map { .init(host: $0.host, port: $0.port) }
        region.privateEndpoints = configured.privateEndpoints.map { .init(host: $0.host, port: $0.port) }
        region.publicEndpoints = configured.publicEndpoints.map { .init(host: $0.host, port: $0.port) }
        var discovered: [TransferSettings.Endpoint] = []
        var findings: [Finding] = []
        for endpoint in region.discovery {
            let (more, servers) = discovery(endpoint, network)
            findings += more
            discovered += servers
        }
        var plan = EndpointPlan(discovered: discovered, region: region, avoiding: nil)
        var works = false
        var tried = 0
        while let candidate = plan.next() {
            tried += 1
            guard tried <= Self.serverLimit else {
                findings.append(.note("servers", "more", "further servers are not tried"))
                break
            }
            let more = server(candidate, network)
            works = works || !more.contains { $0.verdict == .bad }
            findings += more
        }
        if tried == 0 {
            findings.append(
                .bad(
                    "servers",
                    "addresses",
                    "no_server",
                    "service discovery names none, and private and public are empty",
                    "mend service discovery, or set private or public in [region]"
                )
            )
        }
        // What another way makes up for keeps nobody from working.
        return works ? findings.map(\.lessened) : findings
    }

    // MARK: Service Discovery

    private func discovery(
        _ endpoint: TransferSettings.Endpoint,
        _ network: ProbeNetwork
    ) -> ([Finding], [TransferSettings.Endpoint]) {
        let subject = "service discovery \(endpoint)"
        let proxy = proxies.proxy(forHost: endpoint.host, port: endpoint.port)
        let (host, port) = proxy.map { ($0.host, $0.port) } ?? (endpoint.host, endpoint.port)
        var findings: [Finding] = []
        if let proxy {
            findings.append(.note(subject, "proxy", "\(proxy.host):\(proxy.port), by http_proxy of the environment"))
        }
        switch network.dial(host, port, via: nil) {
        case .failed(let error):
            findings.append(Self.unreachable(subject, error))
            return (findings, [])
        case .connected(let descriptor):
            findings.append(.ok(subject, "TCP", "connected"))
            switch network.exchange(ServiceDiscovery.request(to: endpoint, via: proxy), over: descriptor) {
            case .failure(let failure):
                findings.append(
                    .bad(subject, "HTTP", "discovery", "\(failure)", "is it Service Discovery that listens there?")
                )
                return (findings, [])
            case .success(let response):
                if let clock = clock(subject, response) { findings.append(clock) }
                do throws(DiscoveryError) {
                    let servers = try ServiceDiscovery.servers(in: response, using: &random)
                    let names = servers.prefix(4).map { "\($0)" }.joined(separator: ", ")
                    findings.append(.ok(subject, "HTTP", "names \(servers.count) servers: \(names)"))
                    return (findings, servers)
                } catch {
                    findings.append(.bad(subject, "HTTP", "discovery", "\(error)", "look at that service and its log"))
                    return (findings, [])
                }
            }
        }
    }

    /// Compares this host's clock with the one that a web server has (RFC 9110 section 6.6.1).
    private func clock(_ subject: String, _ response: HTTPExchange.Response) -> Finding? {
        guard let text = response.head.headers.first(where: { $0.name == "date" })?.value,
            let theirs = HTTPDate.seconds(text)
        else { return nil }
        let difference = Double(Int64(time(nil)) - theirs)
        skew = difference
        let size = Format.span(abs(difference))
        let text2 = "this host's clock is \(size) \(difference > 0 ? "ahead of" : "behind") that server's"
        if abs(difference) < Self.skewNotice { return .ok(subject, "clock", "as this host's") }
        if abs(difference) < Self.skewLimit {
            return .warning(subject, "clock", "clock", text2, "let NTP keep both")
        }
        return .bad(subject, "clock", "clock", text2, "set the clock that is wrong: certificates are judged by it")
    }

    // MARK: Servers

    private func server(_ candidate: Candidate, _ network: ProbeNetwork) -> [Finding] {
        let endpoint = candidate.endpoint
        let subject = "server \(endpoint) (\(candidate.mode.rawValue))"
        let proxy = configuration.transfer.proxy.map {
            Proxy(host: $0.endpoint.host, port: $0.endpoint.port, credentials: $0.credentials)
        }
        var findings: [Finding] = []
        if let proxy {
            findings.append(.note(subject, "proxy", "\(proxy.host):\(proxy.port), by `proxy` in [transfer]"))
        }
        switch network.dial(endpoint.host, endpoint.port, via: proxy) {
        case .failed(let error): return findings + [Self.unreachable(subject, error)]
        case .connected(let descriptor):
            findings.append(.ok(subject, "TCP", "connected"))
            return findings + secure(subject, endpoint, descriptor, network)
        }
    }

    private func secure(
        _ subject: String,
        _ endpoint: TransferSettings.Endpoint,
        _ descriptor: consuming FileDescriptor,
        _ network: ProbeNetwork
    ) -> [Finding] {
        let tls = configuration.tls
        let context: TLSContext
        do throws(TLSError) {
            context = try TLSContext(
                role: .client,
                files: .init(authority: tls.ca, certificate: tls.certificate, privateKey: tls.privateKey)
            )
        } catch {
            // Said above, with the files.
            return [.bad(subject, "TLS", "certificate_file", "\(error)", "see certificates and files above")]
        }
        let probe = network.probe(
            endpoint,
            over: descriptor,
            context: context,
            serverName: tls.serverName,
            agentID: isIDInUse ? nil : identity
        )
        return TransferFindings(
            subject: subject,
            serverName: tls.serverName,
            certificateFile: tls.certificate,
            skew: skew.flatMap { abs($0) < Self.skewLimit ? nil : $0 },
            agent: agent
        ).findings(probe)
    }

    static func unreachable(_ subject: String, _ error: DialError) -> Finding {
        switch error.kind {
        case .name:
            .bad(
                subject,
                "name",
                "name",
                "\(error)",
                "correct the name in agent.conf, or this host's /etc/resolv.conf and /etc/hosts"
            )
        case .refused:
            .bad(
                subject,
                "TCP",
                "refused",
                "\(error)",
                "nothing listens there, or a firewall rejects it: is the service up, and is this its port?"
            )
        case .unreachable:
            .bad(subject, "TCP", "unreachable", "\(error)", "this host has no route there: look at ip route")
        case .silence:
            .bad(
                subject,
                "TCP",
                "no_answer",
                "\(error)",
                "something on the way drops the packets (firewall, security group), or the address is wrong"
            )
        case .proxy:
            .bad(subject, "proxy", "proxy", "\(error)", "look at the proxy, and at `proxy` in [transfer]")
        case .other:
            .bad(
                subject,
                "TCP",
                "connect",
                "\(error)",
                "SELinux or a local firewall may forbid it: look at the audit log"
            )
        }
    }
}
