// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Transport

/// Runs a scenario: the agent's own `Backoff` and `EndpointPlan` against simulated servers, on a simulated clock, so that
/// a seed has one outcome.
///
/// A server finishes handshakes in the order in which they came, `handshakesPerSecond`, and spends the same time on those
/// that nobody waits for any more: the unkind case, in which a crowd keeps itself out.
public struct Storm {
    private enum Event {
        /// An agent's pause is over: it begins a round.
        case round(Int)
        case failed(Int)
        case connected(Int)
    }

    private struct Agent {
        var backoff: Backoff
        var random: SplitMix64
        var plan: EndpointPlan?
        let home: Int

        mutating func nextPause() -> TimeSpan { backoff.next(using: &random) }
    }

    private static let roundTrip = TimeSpan.milliseconds(1)

    private let scenario: StormScenario
    private let endpoints: [TransferSettings.Endpoint]
    private var agents: [Agent] = []
    private var events = EventQueue<Event>()
    /// When each server has done all the handshakes that have come.
    private var busyUntil: [TimeSpan]
    private var outcome: StormOutcome

    public static func run(_ scenario: StormScenario) -> StormOutcome {
        var storm = Storm(scenario)
        storm.run()
        return storm.outcome
    }

    private init(_ scenario: StormScenario) {
        self.scenario = scenario
        endpoints = scenario.servers.indices.map { TransferSettings.Endpoint(host: "\($0)", port: 6751) }
        busyUntil = scenario.servers.map(\.returns)
        outcome = StormOutcome(scenario)
        var seeds = SplitMix64(seed: scenario.seed)
        let backoff =
            switch scenario.pause {
            case .fullJitter(let minimum, let maximum): Backoff(minimum: minimum, maximum: maximum)
            case .fixed: Backoff(minimum: .zero, maximum: .zero)
            }
        agents = (0..<scenario.agents).map {
            Agent(backoff: backoff, random: SplitMix64(seed: seeds.next()), home: $0 % scenario.servers.count)
        }
    }

    private mutating func run() {
        var missing = 0
        for agent in agents.indices where scenario.servers[agents[agent].home].stops {
            pause(agent, at: .zero)
            missing += 1
        }
        outcome.agents = missing
        while missing > 0, let (time, event) = events.next(), time < scenario.end {
            switch event {
            case .round(let agent):
                // Discovery names the servers in random order where their weights are equal.
                let servers = endpoints.shuffled(using: &agents[agent].random)
                let avoided = endpoints[agents[agent].home]
                agents[agent].plan = EndpointPlan(discovered: servers, region: .init(), avoiding: avoided)
                attempt(agent, at: time)
            case .failed(let agent): attempt(agent, at: time)
            case .connected:
                outcome.count(time, in: \.connections)
                missing -= 1
                if missing == 0 { outcome.complete = time }
            }
        }
    }

    private mutating func pause(_ agent: Int, at time: TimeSpan) {
        let pause =
            switch scenario.pause {
            case .fullJitter: agents[agent].nextPause()
            case .fixed(let pause): pause
            }
        events.put(.round(agent), at: time + pause)
    }

    private mutating func attempt(_ agent: Int, at time: TimeSpan) {
        guard let candidate = agents[agent].plan?.next(),
            let number = endpoints.firstIndex(of: candidate.endpoint)
        else { return pause(agent, at: time) }
        outcome.count(time, in: \.attempts)
        let server = scenario.servers[number]
        let limit = time + scenario.attemptLimit
        if time < server.returns {
            let refused = server.absence == .refusing ? time + Self.roundTrip : limit
            return events.put(.failed(agent), at: refused)
        }
        let done =
            max(busyUntil[number], time) + TimeSpan(nanoseconds: 1_000_000_000 / Int64(scenario.handshakesPerSecond))
        busyUntil[number] = done
        if done > limit {
            outcome.wastedHandshakes += 1
            events.put(.failed(agent), at: limit)
        } else {
            events.put(.connected(agent), at: done)
        }
    }
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
private struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

extension TimeSpan {
    fileprivate static func + (left: TimeSpan, right: TimeSpan) -> TimeSpan {
        TimeSpan(nanoseconds: left.nanoseconds + right.nanoseconds)
    }
}
