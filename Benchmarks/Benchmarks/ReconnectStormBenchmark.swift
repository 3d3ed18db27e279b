// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import ReconnectStorm

/// `reconnect-storm`: a table of the documented scenarios, and their plot.
struct ReconnectStormBenchmark {
    private var agents = 100_000
    private var seed: UInt64 = 1
    private var file: String?

    init(options: [String] = []) {
        var rest = options[...]
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { refuse("\(option) needs a value") }
            switch option {
            case "--agents":
                guard let number = Int(value), 1...1_000_000 ~= number else { refuse("--agents: \(value)?") }
                agents = number
            case "--seed":
                guard let number = UInt64(value) else { refuse("--seed: \(value)?") }
                seed = number
            case "--svg": file = value
            default: refuse("reconnect-storm has no option \(option)")
            }
        }
    }

    func run() {
        let pauses = [StormScenario.ours, StormScenario.original].map { pause in
            StormScenario.documented(agents: agents, seed: seed, pause: pause).map(Storm.run)
        }
        print("reconnect-storm: \(agents) agents, seed \(seed)")
        for (ours, original) in zip(pauses[0], pauses[1]) {
            print("\n\(ours.scenario.name): \(ours.agents) agents lose their connection")
            print("                    peak/s  peak/0.1 s  attempts  lost handshakes  all connected after")
            print("  this agent      \(row(ours))")
            print("  5 s, as original\(row(original))")
        }
        if let file { write(StormPlot.svg(Array(zip(pauses[0], pauses[1]))), to: file) }
    }

    private func row(_ outcome: StormOutcome) -> String {
        let complete =
            outcome.complete.map { "\(($0.seconds * 10).rounded() / 10) s" }
            ?? "never; \(outcome.agents - outcome.connected) without after \(Int(outcome.scenario.end.seconds)) s"
        return column(outcome.attemptsPerSecond.max() ?? 0, 8) + column(outcome.peakOfBucket, 12)
            + column(outcome.totalAttempts, 10) + column(outcome.wastedHandshakes, 17) + "  " + complete
    }

    private func column(_ number: Int, _ width: Int) -> String {
        let digits = "\(number)"
        return String(repeating: " ", count: max(1, width - digits.count)) + digits
    }

    private func write(_ text: String, to path: String) {
        guard let file = unsafe fopen(path, "we") else { refuse("\(path) cannot be written: errno \(errno)") }
        guard unsafe fputs(text, file) >= 0, unsafe fclose(file) == 0 else {
            refuse("\(path) was not written whole: errno \(errno)")
        }
        print("\nwritten: \(path)")
    }
}
