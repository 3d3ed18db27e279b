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
            try suite.rig.pass(.seconds(Int64(suite.idleSeconds)))
            let seconds = (wallTime() - began) / 1e9
            let (memory, group) = (figures.memory, "Idle and connected")
            suite.add(group, "context switches", "1/s", [Double(figures.contextSwitches - switches) / seconds])
            suite.add(group, "CPU", "% of a core", [(figures.processorTime - processor) / 1e7 / seconds])
            suite.add(group, "resident memory", "MB", [Double(memory.resident) / 1024])
            suite.add(group, "anonymous memory", "MB", [Double(memory.anonymous) / 1024])
        }
    }

    /// The most memory that an agent has while a plugin writes as fast as it can.
    mutating func floodMemory() throws {
        try withAgent { suite, agent in
            var (resident, anonymous) = (0, 0)
            let sample = {
                let memory = agent.figures.memory
                if memory.resident > resident { (resident, anonymous) = (memory.resident, memory.anonymous) }
            }
            let timer = Repeating(suite.rig.reactor, every: .milliseconds(20), sample)
            _ = try agent.measure(.flood(suite.volume * 2))
            timer.stop()
            let group = "Flat out"
            suite.add(group, "resident memory, peak", "MB", [Double(resident) / 1024], note: "window of the server: 4 MiB")
            suite.add(group, "of which anonymous", "MB", [Double(anonymous) / 1024])
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
