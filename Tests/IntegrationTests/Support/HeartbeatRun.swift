// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// One run of the agent with one plugin under a known load: each heartbeat that the server got, and what it had to be.
struct HeartbeatRun: Sendable {
    struct Heartbeat: Sendable {
        let dataType: Int
        /// "agent" or the plugin's name.
        let target: String
        /// Of its arrival, in seconds since 1970.
        let arrival: Double
        let timestamp: Int
        /// As the server's own decoder has them.
        let fields: [String: String]
        /// As protoc decodes the message that it came in.
        let packaged: Packaged
        var expected: Expected

        func number(_ name: String) -> Double { fields[name].flatMap { Double($0) } ?? .nan }
    }

    struct Packaged: Decodable, Sendable {
        struct Record: Decodable, Sendable {
            var dataType: Int
            var timestamp: Int
            var fields: [String: String]
        }
        struct Header: Decodable, Sendable {
            var agentId: String
            var hostname: String
            var version: String
            var product: String
            var intranetIpv4: [String]
            var extranetIpv4: [String]
            var intranetIpv6: [String]
            var extranetIpv6: [String]
        }
        var header: Header
        var records: [Record]
    }

    struct Expected: Decodable, Sendable {
        var fields: [String: Expectation]
        var header: [String: Expectation]
    }

    /// What the plugin does.
    static let recordRate = 200.0
    static let recordSize = 600.0
    static let fileRate = 2_097_152.0
    /// Tasks that the plugin gets between the last two heartbeats.
    static let tasks = 20
    static let taskSize = 100

    private(set) var heartbeats: [Heartbeat] = []
    /// The server's verdicts, one for each heartbeat: what is wrong with it.
    private(set) var verdicts: [[String]] = []

    func of(_ dataType: Int) -> [Heartbeat] { heartbeats.filter { $0.dataType == dataType } }

    /// Recorded once, for all tests that look at it.
    static let recorded = Result { try HeartbeatRun() }

    private init() throws {
        var run: HeartbeatRun?
        try Scenario.run { scenario in run = try HeartbeatRun(in: scenario) }
        guard let run else { throw Failure("no run") }
        self = run
    }

    private init(in scenario: Scenario) throws {
        let (work, captured) = (scenario.folder.path + "/work", scenario.folder.path + "/captured")
        try FileManager.default.createDirectory(atPath: captured, withIntermediateDirectories: true)
        let writer = try scenario.addWriter(
            "writer",
            ["rate": Self.recordRate, "seconds": 600, "burn": 1, "file_rate": Int(Self.fileRate)]
        )
        try write(String(repeating: "x", count: 5_000_123), to: work + "/ballast")
        let server = try scenario.startServer(["-capture", captured])
        let monitor = try FactsMonitor(in: scenario.folder.path + "/facts")
        defer { monitor.end() }

        // Nothing is sent before the monitor knows the process, and before it is old enough for rates over its life.
        try server.command("refuse", ["on": true])
        let start = ContinuousClock.now
        let agent = try scenario.startAgent([
            "agent": ["idc": "1001"], "timeouts": ["heartbeat": "5s"], "transfer": ["compression": "none"],
        ])
        try monitor.watch("agent", .init(pid: agent.pid, folder: work, without: "plugin"))
        try eventually("the agent's age") { (ContinuousClock.now - start > .milliseconds(1200)).asAnswer }
        try server.command("refuse", ["on": false])

        try server.wait(for: "heartbeat")
        let launch = try writer.waitForLaunch(state: scenario.state)
        try monitor.watch("writer", .init(pid: launch.pid, folder: writer.directory, without: nil))
        try server.wait(for: "heartbeat", count: 2)
        try server.wait(for: "plugin_heartbeat")
        for number in 1...Self.tasks {
            let task: [String: Any] = [
                "object_name": "writer", "data_type": 7, "token": "\(number)",
                "data": String(repeating: "d", count: Self.taskSize),
            ]
            try server.command("task", task)
        }
        try server.wait(for: "heartbeat", count: 3)
        try server.wait(for: "plugin_heartbeat", count: 2)
        verdicts = try server.wait(for: "heartbeat_typing", count: 5).map { verdict in
            let problems = verdict["problems"].strings ?? ["no list"]
            return problems.isEmpty == verdict["ok"].bool ? problems : problems + ["ok is \(verdict.object)"]
        }

        let events = server.events("heartbeat").prefix(3) + server.events("plugin_heartbeat").prefix(2)
        // While the processes are still there to be asked.
        let expected = try Self.expectations(
            for: Array(events),
            folder: monitor.folder,
            agent,
            text(of: work + "/machine-id"),
            launch.pid
        )
        heartbeats = try zip(events, expected).map { try Self.heartbeat($0, $1) }
        for index in heartbeats.indices { expectTraffic(of: index) }
        try agent.stop()
    }

    private static func target(_ event: JSON) -> String {
        event["data_type"].int == 1000 ? "agent" : event["fields"]["name"].string ?? ""
    }

    private static func expectations(
        for events: [JSON],
        folder: String,
        _ agent: AgentRun,
        _ keptID: String,
        _ plugin: Int32
    ) throws -> [Expected] {
        let version = try ChildProcess.output(of: [TestEnvironment.agent(), "--version"])
            .split(whereSeparator: \.isWhitespace).last.map(String.init)
        let question: [String: Any] = [
            "folder": folder,
            "agent": [
                "pid": Int(agent.pid), "version": version ?? "", "idc": "1001", "region": "default",
                "kept_id": keptID,
            ],
            "plugins": ["writer": ["pid": Int(plugin), "version": "1.0.0.0"]],
            "heartbeats": events.map { event in
                [
                    "data_type": event["data_type"].int ?? 0, "target": target(event), "at": event["at"].int ?? 0,
                    "timestamp": event["timestamp"].int ?? 0,
                ] as [String: Any]
            },
        ]
        let answer = try ChildProcess.output(
            of: [TestEnvironment.python(), Repository.facts + "/expect.py"],
            input: try JSON.line(question)
        )
        return try JSONDecoder().decode([Expected].self, from: Data(answer.utf8))
    }

    private static func heartbeat(_ event: JSON, _ expected: Expected) throws -> Heartbeat {
        guard let file = event["captured"].string else { throw Failure("no message of \(event.object)") }
        let decoded = try ChildProcess.output(
            of: [TestEnvironment.python(), Repository.facts + "/packaged.py", file]
        )
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return Heartbeat(
            dataType: event["data_type"].int ?? 0,
            target: target(event),
            arrival: Double(event["at"].int ?? 0) / 1e6,
            timestamp: event["timestamp"].int ?? 0,
            fields: event["fields"].object.compactMapValues { $0 as? String },
            packaged: try decoder.decode(Packaged.self, from: Data(decoded.utf8)),
            expected: expected
        )
    }

    /// What went through the connection and the pipes is known only here: nothing before the first heartbeat, the
    /// plugin's records all the time, and tasks before the last. Between, there is a part of it.
    private mutating func expectTraffic(of index: Int) {
        let heartbeat = heartbeats[index]
        let earlier = heartbeats[..<index].last { $0.dataType == heartbeat.dataType }
        let elapsed = heartbeat.arrival - (earlier?.arrival ?? heartbeat.arrival - 5)
        let records = Self.recordRate
        let tasks = Double(Self.tasks) / elapsed
        let size = Double(Self.taskSize)
        // A task has some fields more than its data, a message has a header, a connection frames and answers.
        let overhead = 4000.0
        var ranges = [
            "tx_tps": 0...records * 1.6, "tx_speed": 0...records * Self.recordSize * 2 + overhead,
            "rx_tps": 0...2, "rx_speed": 0...overhead,
        ]
        let isLast = heartbeats[(index + 1)...].allSatisfy { $0.dataType != heartbeat.dataType }
        if isLast {
            ranges["tx_tps"] = records * 0.5...records * 1.6
            ranges["tx_speed"] = records * Self.recordSize * 0.5...records * Self.recordSize * 2 + overhead
            ranges["rx_tps"] = tasks * 0.5...tasks * 1.6
            ranges["rx_speed"] = tasks * size * 0.5...tasks * size * 3 + overhead
        } else if earlier == nil, heartbeat.dataType == 1000 {
            ranges["tx_tps"] = 0...2
        }
        // Since the plugin's start, which is between the first heartbeat and the second.
        let most = records * 1.6 * (heartbeat.arrival - heartbeats[0].arrival) + 50
        let least = isLast ? records * 0.4 * elapsed : 0
        for (name, range) in [
            "received": least...most, "confirmed": 0...most, "queued": 0...most, "spooled": 0...most,
            "malformed": 0...0, "dropped": 0...0,
            "resent": 0...0,
        ] { heartbeats[index].expected.fields["ledger_" + name] = Expectation(range, isIntegral: true) }
        for (name, range) in ranges { heartbeats[index].expected.fields[name] = Expectation(range) }
    }
}
