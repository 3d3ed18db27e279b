// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import Reactor

// What an agent costs that has nothing to do, or much.
extension Suite {
    /// Connected, heartbeats on, no plugin writes.
    mutating func idle() throws {
        try withAgent(Subject.AgentOptions(plugins: 0)) { suite, agent in
            try suite.rig.pass(.seconds(6))
            let figures = agent.figures
            let (switches, processor, began) = (figures.contextSwitches, figures.processorTime, wallTime())
            var samples: [(resident: Double, anonymous: Double)] = []
            for _ in 0..<suite.idleSeconds {
                try suite.rig.pass(.seconds(1))
                let memory = figures.memory
                samples.append((Double(memory.resident) / 1024, Double(memory.anonymous) / 1024))
            }
            let seconds = (wallTime() - began) / 1e9
            let group = "Idle and connected, one minute with a heartbeat"
            suite.add(group, "context switches", "1/s", [Double(figures.contextSwitches - switches) / seconds])
            suite.add(group, "CPU", "% of a core", [(figures.processorTime - processor) / 1e7 / seconds])
            suite.add(group, "resident memory", "MB", samples.map(\.resident), note: "sampled each second")
            suite.add(group, "anonymous memory", "MB", samples.map(\.anonymous))
        }
    }

    /// The most memory that an agent has while a plugin writes as fast as it can: it grows with the server's window, since
    /// what is not confirmed is kept.
    mutating func floodMemory() throws {
        for window in [1 << 20, 4 << 20, 16 << 20] {
            let discard = try DiscardServer(rig, window: window)
            let agent = try Subject.agent(rig, discard)
            defer {
                agent.end()
                discard.close()
            }
            var (resident, anonymous) = (0, 0)
            let timer = Repeating(rig.reactor, every: .milliseconds(20)) {
                let memory = agent.figures.memory
                if memory.resident > resident { (resident, anonymous) = (memory.resident, memory.anonymous) }
            }
            _ = try agent.measure(.flood(volume * 2))
            timer.stop()
            let group = "Memory flat out, by the server's window"
            let note = "of which \(Figures.digits(Double(anonymous) / 1024)) anonymous"
            add(group, "\(window >> 20) MiB", "MB", [Double(resident) / 1024], note: note)
        }
    }
}

/// Calls again and again, from the loop.
private final class Repeating {
    private var timer: Timer?

    init(_ reactor: Reactor, every span: TimeSpan, _ body: @escaping () -> Void) {
        timer = reactor.makeTimer { [weak self] in
            body()
            self?.timer?.arm(after: span)
        }
        timer?.arm(after: span)
    }

    func stop() { timer?.cancel() }
}
