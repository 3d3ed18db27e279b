// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Testing
import Transport

struct ServiceDiscoveryTests {
    static func response(_ body: String, status: Int = 200, reason: String = "OK") -> HTTPExchange.Response {
        .init(head: HTTPResponseHead(status: status, reason: reason), body: Array(body.utf8))
    }

    static func entry(_ ip: String, _ port: Int = 6751, status: Int = 0, weight: Int = 0) -> String {
        """
        {"name":"hids_svr_grpc","ip":"\(ip)","port":\(port),"status":\(status),"create_at":1700000000,\
        "update_at":1700000030,"weight":\(weight),"extra":{}}
        """
    }

    static func answer(_ entries: [String]) -> String {
        "{\"data\":[\(entries.joined(separator: ","))],\"msg\":\"ok\"}"
    }

    private func servers(_ response: HTTPExchange.Response) throws(DiscoveryError) -> [String] {
        var random = SystemRandomNumberGenerator()
        return try ServiceDiscovery.servers(in: response, using: &random).map { "\($0)" }
    }

    /// Fresh registrations first, then the fewest agents; what cannot be dialled is left out, what is there twice once.
    @Test func ordersByHealthThenByWeight() throws {
        let found = try servers(
            Self.response(
                Self.answer([
                    Self.entry("10.0.0.1", weight: 900), Self.entry("10.0.0.2", status: 4, weight: 0),
                    Self.entry("10.0.0.3", weight: 12), Self.entry("10.0.0.4", status: 1, weight: 5),
                    Self.entry("10.0.0.3", weight: 12), Self.entry(""), Self.entry("10.0.0.5", 0),
                    Self.entry("10.0.0.6", 65536), Self.entry("2001:db8::1", weight: 13), "{}", "7",
                    Self.entry("a b"), Self.entry("ac.example.com", weight: 14),
                ])
            )
        )
        #expect(
            found == [
                "10.0.0.3:6751", "[2001:db8::1]:6751", "ac.example.com:6751", "10.0.0.1:6751", "10.0.0.4:6751",
                "10.0.0.2:6751",
            ]
        )
    }

    /// Equal servers come in different orders, or a whole fleet would choose the same one.
    @Test func shufflesEqualOnes() throws {
        let response = Self.response(Self.answer((1...8).map { Self.entry("10.0.0.\($0)") }))
        var orders = Set<[String]>()
        for _ in 0..<20 { orders.insert(try servers(response)) }
        #expect(orders.count > 1)
    }

    static let refusals: [(HTTPExchange.Response, String)] = [
        (response("{\"data\":[],\"msg\":\"ok\"}"), "it knows no server; have the Agent Centers registered?"),
        (response(answer(["{}", entry("")])), "none of its 2 entries has a usable ip and port"),
        (
            response("{\"msg\":\"name is empty\"}", status: 400, reason: "Bad Request"),
            "HTTP status 400 Bad Request: name is empty"
        ),
        (response("<html>", status: 502, reason: "Bad Gateway"), "HTTP status 502 Bad Gateway"),
        (
            response("<html>Sign in</html>"),
            "the answer is not JSON (line 1, column 1: '[' or '{' expected near '<')"
        ),
        (
            response("{\"data\":null}"),
            "the answer has no list `data`; is it Service Discovery that listens there?"
        ),
        (response("[1]"), "the answer has no list `data`; is it Service Discovery that listens there?"),
    ]

    @Test(arguments: refusals.indices)
    func saysWhyThereIsNone(index: Int) {
        let (response, expected) = Self.refusals[index]
        do throws(DiscoveryError) {
            Issue.record("\(try servers(response)) instead of: \(expected)")
        } catch {
            let isJSON = error.description.hasPrefix("the answer is not JSON")
            #expect(isJSON == expected.hasPrefix("the answer is not JSON"))
            if !isJSON { #expect(error.description == expected) }
        }
    }

    @Test func asksAsElkeidIsAsked() {
        let endpoint = TransferSettings.Endpoint(host: "::1", port: 8088)
        let direct = String(decoding: ServiceDiscovery.request(to: endpoint, via: nil).bytes, as: UTF8.self)
        #expect(direct.hasPrefix("GET /registry/detail?name=hids_svr_grpc&count=10 HTTP/1.1\r\nHost: [::1]:8088\r\n"))
        #expect(direct.hasSuffix("\r\n\r\n"))
        let proxy = ProxyEnvironment.Address(host: "p", port: 3128, credentials: "user:secret")
        let through = String(decoding: ServiceDiscovery.request(to: endpoint, via: proxy).bytes, as: UTF8.self)
        #expect(through.hasPrefix("GET http://[::1]:8088/registry/detail?name=hids_svr_grpc&count=10 HTTP/1.1\r\n"))
        #expect(through.contains("Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"))
    }
}
