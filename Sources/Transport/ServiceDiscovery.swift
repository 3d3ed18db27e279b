// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import HTTP1
import JSON

/// Why Service Discovery named no server.
public struct DiscoveryError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}

/// What Elkeid's Service Discovery is asked, and what its answers mean. It knows the Agent Centers by their
/// registrations, which they renew every 30 s, and how many agents each has.
public enum ServiceDiscovery {
    /// Under which name Agent Centers register, and how many are wanted; the server ignores the number.
    static let target = "/registry/detail?name=hids_svr_grpc&count=10"
    /// Bytes of an answer: some 5,000 servers.
    static let bodyLimit = 1 << 20

    /// - Parameter proxy: an HTTP proxy that the request is sent to, which then wants to know the whole URL.
    public static func request(
        to endpoint: TransferSettings.Endpoint,
        via proxy: ProxyEnvironment.Address?
    ) -> HTTPRequest {
        var headers = [
            (name: "User-Agent", value: TransferClient.userAgent), ("Accept", "application/json"),
            ("Connection", "close"),
        ]
        if let credentials = proxy?.credentials {
            headers.append(("Proxy-Authorization", BasicAuthentication.value(credentials)))
        }
        return HTTPRequest(
            target: proxy == nil ? target : "http://\(endpoint)\(target)",
            host: "\(endpoint)",
            headers: headers
        )
    }

    /// The servers that an answer names, in the order in which to try them: those whose registration is fresh first, of
    /// those the ones with the fewest agents; equal ones in a random order, so that a fleet spreads.
    public static func servers(
        in response: HTTPExchange.Response,
        using random: inout some RandomNumberGenerator
    ) throws(DiscoveryError) -> [TransferSettings.Endpoint] {
        let root: JSONValue
        do throws(JSONValue.ParseError) {
            root = try JSONValue(parsing: response.body)
        } catch {
            guard response.head.status == 200 else { throw refusal(response.head, nil) }
            throw DiscoveryError(
                description: "the answer is not JSON (\(error)); is it Service Discovery that listens there?"
            )
        }
        guard response.head.status == 200 else { throw refusal(response.head, root["msg"]?.string) }
        guard let entries = root["data"]?.array else {
            throw DiscoveryError(
                description: "the answer has no list `data`; is it Service Discovery that listens there?"
            )
        }
        let candidates = entries.compactMap(Entry.init)
        guard !candidates.isEmpty else {
            throw DiscoveryError(
                description: entries.isEmpty
                    ? "it knows no server; have the Agent Centers registered?"
                    : "none of its \(entries.count) entries has a usable ip and port"
            )
        }
        var seen = Set<TransferSettings.Endpoint>()
        return candidates.shuffled(using: &random)
            .sorted { ($0.status, $0.weight) < ($1.status, $1.weight) }
            .map(\.endpoint).filter { seen.insert($0).inserted }
    }

    private static func refusal(_ head: HTTPResponseHead, _ message: String?) -> DiscoveryError {
        DiscoveryError(
            description: "HTTP status \(head.status) \(head.reason)" + (message.map { ": \($0.prefix(200))" } ?? "")
        )
    }

    /// One Agent Center, as it registered.
    private struct Entry {
        let endpoint: TransferSettings.Endpoint
        /// 0 when the registration is fresh, up to 4 when it will soon be dropped.
        let status: Int64
        /// Agents connected to it.
        let weight: Int64

        init?(_ value: JSONValue) {
            guard let ip = value["ip"]?.string, !ip.isEmpty, ip.utf8.count <= 253,
                ip.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x2f }),
                let port = value["port"]?.integer.flatMap(UInt16.init(exactly:)), port > 0
            else { return nil }
            endpoint = TransferSettings.Endpoint(host: ip, port: port)
            status = value["status"]?.integer ?? 0
            weight = value["weight"]?.integer ?? 0
        }
    }
}
