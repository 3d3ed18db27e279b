// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

// `elkeidctl status`, `metrics` and `log`.
extension Integration.ControlTool {
    // MARK: status

    @Test func status() throws {
        try Scenario.run { scenario in
            let writer = try scenario.addWriter("writer", ["count": 1000])
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(["agent": ["id": "status-test", "idc": "east"]])
            let launch = try writer.waitForLaunch(state: scenario.state)
            _ = try writer.waitUntilDone(state: scenario.state)
            let status = try eventually("all records", state: scenario.state) {
                let answer = try scenario.elkeidctl.run("status", "--json")
                #expect(answer.exit == .code(0) && answer.errors.isEmpty)
                #expect(answer.lines.count == 1)
                return answer.json["lanes"]["writer"]["received"].int == 1000 ? answer.json : nil
            }
            #expect(status["pid"].int == Int(agent.pid) && status["id"].string == "status-test")
            #expect(status["idc"].string == "east" && status["region"].string == "default")
            #expect(status["configuration"].string == scenario.configurationPath)
            #expect(status["state"].string == "running" && status["reasons"].strings == [])
            let connection = status["connection"]
            #expect(connection["endpoint"].string == server.address && connection["net_mode"].string == "private")
            #expect(connection["tls"].string == "TLSv1.3" && connection["certificate"]["end"].int == 3_755_376_000)
            let plugins = status.list("plugins")
            try #require(plugins.count == 1 && plugins[0]["name"].string == "writer")
            #expect(plugins[0]["pid"].int == Int(launch.pid) && plugins[0]["records"].int == 1000)
            #expect(plugins[0]["version"].string == "1.0.0.0" && plugins[0]["restarts"].int == 0)

            #expect(try scenario.elkeidctl.run("set", "--service_type", "sysvinit").exit == .code(0))
            let text = try scenario.elkeidctl.run("status")
            #expect(text.exit == .code(0) && text.errors.isEmpty)
            for part in ["status-test", "east", server.address, "TLSv1.3", "2089-01-01", "writer", "\(launch.pid)"] {
                #expect(text.output.contains(part), "\(part): \(text)")
            }
            #expect(!text.output.contains("\u{1b}"), "no colours but on a terminal")
            try agent.stop()
        }
    }

    /// Under sysvinit the code is 0 in any case, as upstream's is.
    @Test func statusWithoutAgent() throws {
        try Scenario.run { scenario in
            try scenario.configure()
            #expect(try scenario.elkeidctl.run("set", "--service_type", "sysvinit").exit == .code(0))
            let answer = try scenario.elkeidctl.run("status")
            #expect(answer.exit == .code(0) && answer.errors.isEmpty)
            #expect(answer.output.contains("agent is dead\n"), "\(answer)")
            #expect(answer.lines.last?.contains("elkeidctl start") == true, "\(answer)")
        }
    }

    // MARK: metrics

    @Test func metrics() throws {
        try Scenario.run { scenario in
            try scenario.addWriter("writer", ["count": 1000])
            let server = try scenario.startServer()
            // Whatever is a label's value.
            let agent = try scenario.startAgent(["agent": ["id": #"a "b" \c"#]])
            try agent.wait(for: "plugin has been loaded")
            let metrics = try eventually("all records", state: scenario.state) {
                let answer = try scenario.elkeidctl.run("metrics")
                #expect(answer.exit == .code(0) && answer.errors.isEmpty)
                let metrics = try PrometheusText(answer.output)
                let received = metrics.value("elkeid_agent_plugin_records_received_total", ["plugin": "writer"])
                return received == 1000 ? metrics : nil
            }
            func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
                metrics.value("elkeid_agent_\(name)", labels)
            }
            #expect(value("up") == 1)
            let id = try scenario.elkeidctl.run("status", "--json").json["id"].string
            #expect(id != nil && value("info", ["id": id ?? ""]) == 1)
            #expect(value("connected", ["endpoint": server.address, "net_mode": "private"]) == 1)
            #expect(value("connections_total") == 1)
            #expect(value("plugin_up", ["plugin": "writer", "version": "1.0.0.0"]) == 1)
            let books = ["confirmed", "in_flight", "queued", "spooled"].map { name in
                let suffix = name == "confirmed" ? "_total" : ""
                return value("plugin_records_\(name)\(suffix)", ["plugin": "writer"]) ?? -1
            }
            #expect(books.reduce(0, +) == 1000, "\(books)")
            #expect(value("plugin_records_malformed_total", ["plugin": "writer"]) == 0)
            #expect(value("server_certificate_end_seconds") == 3_755_376_000)
            #expect(value("resident_memory_bytes") ?? 0 > 1e6)
            #expect(metrics.types.count >= 20 && metrics.types["elkeid_agent_uptime_seconds"] == "gauge")
            try agent.stop()
        }
    }

    /// node_exporter reads the old file or the new one, whole; who is scraped is told that the agent is down.
    @Test func metricsAsFile() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent()
            try server.wait(for: "stream_opened")
            let folder = scenario.folder.path + "/textfile"
            let file = folder + "/elkeid.prom"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try write("old\n", to: file)
            #expect(unsafe chmod(file, 0o600) == 0)
            let reader = try #require(FileHandle(forReadingAtPath: file))
            let answer = try scenario.elkeidctl.run("metrics", "--textfile", file)
            #expect(answer.exit == .code(0) && answer.output.isEmpty && answer.errors.isEmpty)
            #expect(try reader.readToEnd() == Data("old\n".utf8))
            #expect(try PrometheusText(text(of: file)).value("elkeid_agent_up") == 1)
            #expect(mode(of: file) == 0o644)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["elkeid.prom"])
            try agent.stop()

            let down = try scenario.elkeidctl.run("metrics")
            #expect(down.exit == .code(1))
            let metrics = try PrometheusText(down.output)
            #expect(metrics.value("elkeid_agent_up") == 0 && metrics.samples.count == 1)
            _ = try scenario.elkeidctl.run("metrics", "--textfile", file)
            #expect(text(of: file) == down.output)
            let nowhere = try scenario.elkeidctl.run("metrics", "--textfile", folder + "/none/elkeid.prom")
            #expect(nowhere.exit == .code(1) && nowhere.errors.hasPrefix("Error: \(folder)/none/elkeid.prom"))
        }
    }

    // MARK: log

    @Test func lastLinesOfTheLog() throws {
        try Scenario.run { scenario in
            let plugin = try scenario.addWriter("writer", ["stderr": "one\ntwo \u{1b}[31mred\nthree\n"])
            let server = try scenario.startServer()
            let agent = try scenario.startAgent()
            try server.wait(for: "heartbeat")
            _ = try plugin.waitForLaunch(state: scenario.state)
            try agent.stop()
            let all = text(of: scenario.folder.path + "/log/elkeid-agent.log").split(separator: "\n").map(String.init)
            #expect(all.count > 3)
            #expect(try scenario.elkeidctl.run("log").lines == all.suffix(50))
            #expect(try scenario.elkeidctl.run("log", "--lines", "3").lines == all.suffix(3))
            #expect(try scenario.elkeidctl.run("log", "--lines", "100000").lines == all)
            let own = try scenario.elkeidctl.run("log", "--plugin", "writer", "--lines", "2")
            #expect(own.exit == .code(0) && own.lines == ["two \u{1b}[31mred", "three"], "\(own)")
            let none = try scenario.elkeidctl.run("log", "--plugin", "nobody")
            #expect(none.exit == .code(1) && none.errors.contains("nobody.stderr: No such file"), "\(none)")
        }
    }

    /// Every line once and in order, also when the file is put aside and begun anew.
    @Test func followsTheLog() throws {
        try Scenario.run { scenario in
            let server = try scenario.startServer()
            let agent = try scenario.startAgent(["agent": ["log_max_size": "4KiB"]])
            try server.wait(for: "heartbeat")
            let following = try scenario.elkeidctl.start(["log", "--follow", "--lines", "1"])
            defer { following.end() }
            try eventually("the first line", state: scenario.state) { (!following.lines.isEmpty).asAnswer }
            let folder = scenario.folder.path + "/log"
            // Less than a file's worth at a time, and all of it is seen before there is more.
            try eventually("three files to be put aside", seconds: 60, state: scenario.state) {
                _ = try agent.askForState()
                let last = try Self.lines(in: folder).last
                try eventually("\(last ?? "")", state: following.output) {
                    following.lines.contains { $0 == last }.asAnswer
                }
                return try (Self.aside(folder).count >= 3).asAnswer
            }
            try agent.stop()
            let expected = try Self.lines(in: folder)
            try eventually("the last line", state: following.output) {
                (following.lines.last == expected.last).asAnswer
            }
            let first = try #require(following.lines.first.flatMap(expected.firstIndex))
            #expect(following.lines == Array(expected[first...]))
        }
    }

    private static func aside(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0 != "elkeid-agent.log" }.sorted()
    }

    /// Of all files of the log, in order of their names, which are those of time.
    private static func lines(in folder: String) throws -> [String] {
        try eventually("the log at rest") {
            let files = try aside(folder)
            guard files.allSatisfy({ $0.hasSuffix(".log.gz") }) else { return nil }
            let old = try files.map { name in
                try ChildProcess.output(of: ["/usr/bin/env", "gzip", "-dc", "\(folder)/\(name)"])
            }
            let new = text(of: folder + "/elkeid-agent.log")
            // It may have been put aside in between.
            return try aside(folder) == files ? (old.joined() + new).split(separator: "\n").map(String.init) : nil
        }
    }
}
