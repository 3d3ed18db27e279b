// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// What happens to a fleet of agents and its servers. Times count from the moment when every connection breaks.
public struct StormScenario: Sendable {
    /// How an agent waits between two rounds of attempts.
    public enum Pause: Sendable {
        /// The agent's own `Backoff`, each agent with its own random numbers.
        case fullJitter(minimum: TimeSpan, maximum: TimeSpan)
        /// The same pause for everybody, as the original agent makes it.
        case fixed(TimeSpan)
    }

    /// What a server that is away does with a connection attempt.
    public enum Absence: Sendable {
        /// The host is up, the service is not: the attempt fails after one round trip.
        case refusing
        /// No answer: the attempt fails when the agent's limit is over.
        case silent
    }

    public struct Server: Sendable {
        /// Whether it stops, and its agents lose their connections.
        public var stops: Bool
        /// When it takes connections again.
        public var returns: TimeSpan
        public var absence: Absence

        /// One that stops.
        public init(returns: TimeSpan, absence: Absence = .refusing) {
            stops = true
            self.returns = returns
            self.absence = absence
        }

        /// One that keeps its agents, and takes others.
        public static var stays: Server {
            var server = Server(returns: .zero)
            server.stops = false
            return server
        }
    }

    public var name: String
    /// Spread evenly over the servers at first.
    public var agents: Int
    public var servers: [Server]
    public var pause: Pause
    /// A TLS handshake is what a new connection costs a server; Go's servers work on all that have come.
    public var handshakesPerSecond: Int
    /// After this time an agent gives an attempt up; the server's work on it is lost.
    public var attemptLimit: TimeSpan
    /// The simulation ends here if agents are still without a connection.
    public var end: TimeSpan
    public var seed: UInt64

    /// - Parameters:
    ///   - attemptLimit: the original's dial timeout, and the default of `connect` and `tls_handshake`.
    public init(
        name: String,
        agents: Int,
        servers: [Server],
        pause: Pause,
        handshakesPerSecond: Int,
        attemptLimit: TimeSpan = .seconds(15),
        end: TimeSpan = .seconds(300),
        seed: UInt64 = 1
    ) {
        self.name = name
        self.agents = agents
        self.servers = servers
        self.pause = pause
        self.handshakesPerSecond = handshakesPerSecond
        self.attemptLimit = attemptLimit
        self.end = end
        self.seed = seed
    }
}
