// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// Agents that know their plugins already, and a server that they do not reach before `heal`: all that the plugins
/// write has to wait, and nothing of it was ever on its way.
final class Outage {
    /// Short enough that a dead peer is found, and a server that is back, while a test waits for it.
    static let settings: Settings = [
        "timeouts": [
            "keepalive": "1s", "keepalive_timeout": "1s", "reconnect_min": "50ms", "reconnect_max": "300ms",
            "confirm_ping": "1s", "flush": "5s",
        ]
    ]
    static let serverArguments = ["-min-ping-ms", "100"]

    let scenario: Scenario
    let server: InteropServer
    private let proxy: FaultProxy
    private let settings: Settings
    /// The spool's folder.
    let spool: String
    var work: String { scenario.folder.path + "/work" }

    /// - Parameters:
    ///   - writers: how many; they are w1, w2 and so on.
    ///   - settings: of all agents.
    init(_ scenario: Scenario, writers: Int = 1, settings: Settings = [:]) throws {
        self.scenario = scenario
        self.settings = Self.settings.merging(settings) { $0.merging($1) { _, given in given } }
        spool = scenario.folder.path + "/work/spool"
        for index in 1...writers { try scenario.addWriter("w\(index)") }
        let server = try scenario.startServer(Self.serverArguments)
        self.server = server
        proxy = try scenario.startFaults(target: server.address)
        // An agent notes what is wanted before it starts a plugin; the next one starts it without any server.
        let agent = try startAgent()
        for plugin in scenario.plugins { _ = try plugin.waitForLaunch(state: scenario.state) }
        try agent.stop()
        try proxy.refuse(true)
    }

    func startAgent() throws -> AgentRun { try scenario.startAgent(settings, endpoints: [proxy.address]) }

    /// The server can be reached.
    func heal() throws { try proxy.refuse(false) }

    /// What the writers of the next agent do.
    ///
    /// - Parameter suffix: of the names of their lanes, which are theirs.
    func prepare(_ settings: [String: Any], lane suffix: String = "") throws {
        for plugin in scenario.plugins {
            try plugin.prepare(settings.merging(["lane": plugin.name + suffix]) { $1 })
        }
    }

    /// Waits until the server has the last of so many records of that lane.
    func waitForArrival(of count: Int, lane: String = "w1") throws {
        try eventually("the last record of \(lane)", seconds: 30, state: scenario.state) {
            try (server.stats().lanes[lane]?.highest == count - 1).asAnswer
        }
    }

    // MARK: The spool's files

    private var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: spool)) ?? [] }

    /// Paths of its segments, in order for each lane.
    var segments: [String] { names.filter { $0.hasSuffix(".spool") }.sorted().map { "\(spool)/\($0)" } }
    /// Paths of what is not used any more.
    var asides: [String] { names.filter { $0.hasSuffix(".aside") }.sorted().map { "\(spool)/\($0)" } }
    /// Bytes of all files.
    var bytes: Int { names.reduce(0) { $0 + Self.size(of: "\(spool)/\($1)") } }

    /// 0 when it has just been removed.
    private static func size(of path: String) -> Int {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
}

extension TestPlugin {
    /// Lets the next process do what `settings` say, and forgets what the one before has reported.
    func prepare(_ settings: [String: Any]) throws {
        for report in ["writer-launch.json", "writer-summary.json"] {
            try? FileManager.default.removeItem(atPath: file(report))
        }
        try write(try JSON.line(settings), to: file("writer.json"))
    }
}
