// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Keys and values by section, as in agent.conf.
typealias Settings = [String: [String: String]]

/// A running agent.
final class AgentRun {
    struct LogLine {
        let level: String
        let message: String
        var isProblem: Bool { ["WARNING", "ERROR", "CRITICAL"].contains(level) }
    }

    private let process: ChildProcess
    private let folder: String
    private var logPath: String { folder + "/log/elkeid-agent.log" }
    var pid: pid_t { process.pid }
    /// `peakMemory` when it was asked to stop.
    private(set) var peakMemoryAtEnd = Int.max
    var isRunning: Bool { process.isRunning }

    /// - Parameter launcher: a program and arguments that the agent's command line is appended to.
    init(in folder: String, configuration: String, launcher: [String], options: ChildProcess.Options) throws {
        self.folder = folder
        try write(configuration, to: folder + "/agent.conf")
        var options = options
        options.output = folder + "/agent.out"
        options.errors = folder + "/agent.err"
        process = try ChildProcess(
            launcher + [TestEnvironment.agent(), "--config", folder + "/agent.conf"],
            options
        )
    }

    /// Text of the configuration file.
    static func configuration(
        in folder: String,
        endpoints: [String],
        certificates: ClientCertificates,
        settings: Settings
    ) -> String {
        var sections: Settings = [
            "agent": ["work_dir": folder + "/work", "log_dir": folder + "/log", "control_socket": folder + "/socket"],
            "tls": [
                "ca": certificates.authority, "certificate": certificates.certificate,
                "private_key": certificates.key,
            ],
            "region \"default\"": ["private": endpoints.joined(separator: ",")],
            "timeouts": ["reconnect_min": "50ms", "reconnect_max": "200ms"],
        ]
        for (section, values) in settings { sections[section, default: [:]].merge(values) { $1 } }
        return sections.sorted { $0.key < $1.key }.map { section, values in
            "[\(section)]\n" + values.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }.joined()
        }.joined()
    }

    // MARK: The log

    var log: [LogLine] {
        text(of: logPath).split(separator: "\n").map { line in
            let parts = line.split(separator: "\t", maxSplits: 2)
            return LogLine(level: parts.count > 1 ? String(parts[1]) : "", message: String(parts.last ?? ""))
        }
    }
    var problems: [String] { log.filter(\.isProblem).map(\.message) }

    func messages(with text: String) -> [String] { log.map(\.message).filter { $0.contains(text) } }

    @discardableResult
    func wait(for text: String, count: Int = 1, seconds: Double = 20) throws -> [String] {
        try eventually(
            "\(count) log line(s) with \"\(text)\"",
            seconds: seconds,
            state: self.state,
            until: {
                let found = messages(with: text)
                if found.count >= count { return found }
                guard process.isRunning else {
                    throw Failure(
                        "the agent ended (\(process.exit.map { "\($0)" } ?? "")) before it logged \"\(text)\"\n\(state)"
                    )
                }
                return nil
            }
        )
    }

    var errorOutput: String { text(of: folder + "/agent.err") }
    /// The last of what it said.
    var state: String { tail(of: logPath) + "\n" + tail(of: folder + "/agent.err") }

    // MARK: The process

    /// From /proc/PID/status, in KiB for sizes.
    func status(_ key: String) -> Int? {
        text(of: "/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix(key + ":") }.flatMap {
            Int($0.dropFirst(key.count + 1).split(whereSeparator: \.isWhitespace).first ?? "")
        }
    }

    /// The most memory that it had so far, in bytes.
    var peakMemory: Int { (status("VmHWM") ?? .max >> 10) << 10 }

    /// Waits until it has slept for half a second without a wakeup.
    func waitUntilQuiet() throws {
        var last = (switches: -1, since: ContinuousClock.now)
        try eventually("the agent to be quiet", state: self.state) {
            let switches = status("voluntary_ctxt_switches") ?? -1
            if switches != last.switches { last = (switches, ContinuousClock.now) }
            return (ContinuousClock.now - last.since > .milliseconds(500)).asAnswer
        }
    }

    func signal(_ signal: CInt) { process.send(signal) }

    /// Puts another configuration in place and has it read.
    func reload(_ configuration: String) throws {
        try write(configuration, to: folder + "/agent.conf")
        signal(SIGHUP)
    }

    func waitForExit(seconds: Double = 30) throws -> ChildProcess.Exit {
        try process.waitForExit(seconds: seconds, state: self.state)
    }

    /// What it says of its state when it is asked by SIGUSR1: "state: running []", or abnormal with the reasons.
    func askForState() throws -> String {
        let before = messages(with: "state: ").count
        signal(SIGUSR1)
        return try wait(for: "state: ", count: before + 1)[before]
    }

    /// Stops it as systemd would; it has to end well.
    func stop(seconds: Double = 30, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(process.isRunning, "the agent has ended: \(state)", sourceLocation: sourceLocation)
        peakMemoryAtEnd = peakMemory
        signal(SIGTERM)
        let exit = try waitForExit(seconds: seconds)
        #expect(exit == .code(0), "\(state)", sourceLocation: sourceLocation)
    }

    func end() { process.end() }

    // MARK: The ledger

    struct Ledger: Decodable, Equatable {
        var received: Int
        var malformed: Int
        var queued: Int
        var inFlight: Int
        var spooled: Int
        var confirmed: Int
        var dropped: [String: Int]
        var resent: Int

        var isBalanced: Bool { received == malformed + waiting + confirmed + dropped.values.reduce(0, +) }
        var waiting: Int { queued + inFlight + spooled }

        enum CodingKeys: String, CodingKey {
            case received, malformed, queued, spooled, confirmed, dropped, resent
            case inFlight = "in_flight"
        }
    }

    /// What it wrote when it ended; reasons for which nothing was dropped are left out.
    func ledger() throws -> Ledger {
        let path = folder + "/work/ledger.json"
        guard var ledger = decoded(Ledger.self, from: path) else { throw Failure("no ledger in \(path)\n\(state)") }
        ledger.dropped = ledger.dropped.filter { $0.value > 0 }
        return ledger
    }
}
