// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Reactor

extension StormScenario {
    /// The pause with the configuration's defaults.
    public static var ours: Pause {
        let timeouts = AgentConfiguration().timeouts
        return .fullJitter(minimum: TimeSpan(timeouts.reconnectMin), maximum: TimeSpan(timeouts.reconnectMax))
    }

    /// The original agent's: 5 s.
    public static let original = Pause.fixed(.seconds(5))

    /// What `docs/reconnect.md` shows, for a fleet of that size. A server does 2,000 handshakes a second for 100,000
    /// agents, and as many fewer for fewer.
    public static func documented(agents: Int, seed: UInt64, pause: Pause) -> [StormScenario] {
        let rate = max(1, agents / 50)
        let few: [(String, [Server])] = [
            ("one server restarts and is back at once", [Server(returns: .zero)]),
            ("one server is down for 10 s", [Server(returns: .seconds(10))]),
            ("one server does not answer for 60 s", [Server(returns: .seconds(60), absence: .silent)]),
            (
                "one of three servers, which stays away",
                [Server(returns: .seconds(600)), .stays, .stays]
            ),
        ]
        return few.map { name, servers in
            StormScenario(
                name: name,
                agents: agents,
                servers: servers,
                pause: pause,
                handshakesPerSecond: rate,
                seed: seed
            )
        }
    }
}

extension TimeSpan {
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(nanoseconds: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
