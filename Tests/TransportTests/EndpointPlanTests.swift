// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Testing
import Transport

struct EndpointPlanTests {
    static func endpoint(_ name: String) -> TransferSettings.Endpoint { .init(host: name, port: 6751) }

    /// What was discovered, private, public, avoided, and the order that comes of it.
    static let table: [(String, String, String, String?, String)] = [
        ("a b", "c", "d e", nil, "a:sd b:sd c:private d:public e:public"),
        ("", "c d", "", nil, "c:private d:private"),
        ("", "", "e", nil, "e:public"),
        ("", "", "", nil, ""),
        // Each server once, under the first of its ways.
        ("a b a", "b c", "a d", nil, "a:sd b:sd c:private d:public"),
        // The one just left comes last, whatever its way.
        ("a b", "c", "d", "a", "b:sd c:private d:public a:sd"),
        ("a", "c", "", "c", "a:sd c:private"),
        ("", "c", "", "c", "c:private"),
        ("a", "", "", "unknown", "a:sd"),
    ]

    @Test(arguments: table)
    func triesEachServerOnceInOrder(
        discovered: String,
        own: String,
        open: String,
        avoided: String?,
        expected: String
    ) {
        let list = { (names: String) in names.split(separator: " ").map { Self.endpoint(String($0)) } }
        var plan = EndpointPlan(
            discovered: list(discovered),
            region: .init(privateEndpoints: list(own), publicEndpoints: list(open)),
            avoiding: avoided.map(Self.endpoint)
        )
        var order: [String] = []
        while let candidate = plan.next() { order.append("\(candidate.endpoint.host):\(candidate.mode.rawValue)") }
        #expect(order.joined(separator: " ") == expected)
    }
}
