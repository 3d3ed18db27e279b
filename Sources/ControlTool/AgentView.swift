// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON

/// The agent's answer to "status", with names for what is in it, and rates where there is an earlier one.
struct AgentView {
    let json: JSONValue
    private let earlier: JSONValue?
    /// Between the two.
    let seconds: Double

    /// - Parameter earlier: of the same agent, some time before; else rates are those since the agent began.
    init(_ json: JSONValue, earlier: JSONValue? = nil) {
        self.json = json
        let isSame = earlier?["pid"] == json["pid"]
        self.earlier = isSame ? earlier : nil
        let now = json["uptime"]?.number ?? 0
        seconds = max(0.001, now - (isSame ? earlier?["uptime"]?.number ?? 0 : 0))
    }

    func text(_ path: String...) -> String? { json[path]?.string }
    func number(_ path: String...) -> Double? { json[path]?.number }
    func integer(_ path: String...) -> Int64 { json[path]?.integer ?? 0 }

    /// How fast a counter grows, per second.
    func rate(_ path: String...) -> Double {
        max(0, ((json[path]?.number ?? 0) - (earlier?[path]?.number ?? 0)) / seconds)
    }

    /// A share of one processor.
    var cpu: Double { rate("process", "cpu_seconds") }

    struct Plugin {
        let json: JSONValue
        let earlier: JSONValue?
        let seconds: Double

        var name: String { json["name"]?.string ?? "?" }
        var version: String { json["version"]?.string ?? "-" }
        var state: String { json["state"]?.string ?? "?" }
        var pid: Int64? { json["pid"]?.integer }
        var restarts: Int64 { json["restarts"]?.integer ?? 0 }
        var problem: String? { json["problem"]?.string }
        /// How its last process ended, and how many seconds ago.
        var lastEnd: (reason: String, ago: Double)? {
            guard let reason = json[["last_end", "reason"]]?.string else { return nil }
            return (reason, json[["last_end", "seconds_ago"]]?.number ?? 0)
        }
        /// Of its cgroup, with the processes that it has started; else of its main process.
        var memory: Int64 { json[["cgroup", "memory"]]?.integer ?? json[["process", "rss"]]?.integer ?? 0 }
        var memoryMax: Int64? { json[["cgroup", "memory_max"]]?.integer }
        var records: Int64 { json["records"]?.integer ?? 0 }
        var drops: Int64 { JSONValue.drops(json["ledger"]) + (json[["ledger", "malformed"]]?.integer ?? 0) }
        var recordRate: Double { rate(["records"]) }
        var byteRate: Double { rate(["record_bytes"]) }
        var isRunning: Bool { pid != nil }

        var cpu: Double {
            let path =
                json[["cgroup", "cpu_seconds"]] == nil ? ["process", "cpu_seconds"] : ["cgroup", "cpu_seconds"]
            if earlier?["pid"] == json["pid"] { return rate(path) }
            guard let started = json[["process", "started"]]?.number, let now = json["time"]?.number else { return 0 }
            return (json[path]?.number ?? 0) / max(1, now - started)
        }

        private func rate(_ path: [String]) -> Double {
            max(0, ((json[path]?.number ?? 0) - (earlier?[path]?.number ?? 0)) / seconds)
        }
    }

    var plugins: [Plugin] {
        let before = earlier?["plugins"]?.array ?? []
        return (json["plugins"]?.array ?? []).map { value in
            Plugin(json: value, earlier: before.first { $0["name"] == value["name"] }, seconds: seconds)
        }
    }

    struct Problem {
        let level: String
        let message: String
        let plugin: String?
        let last: Int64
        let count: Int64
    }

    /// The latest first.
    var problems: [Problem] {
        (json["problems"]?.array ?? []).reversed().map { value in
            Problem(
                level: value["level"]?.string ?? "error",
                message: value["message"]?.string ?? "",
                plugin: value["plugin"]?.string,
                last: value["last"]?.integer ?? 0,
                count: value["count"]?.integer ?? 1
            )
        }
    }

    var reasons: [String] { json["reasons"]?.strings ?? [] }
    var isConnected: Bool { text("connection", "state") == "running" }
    var drops: Int64 { JSONValue.drops(json["ledger"]) }
}

extension JSONValue {
    /// A member of a member.
    subscript(path: [String]) -> JSONValue? {
        path.reduce(Optional(self)) { value, name in value?[name] }
    }

    /// What a ledger says was given up, but for what a newer one has taken the place of.
    static func drops(_ ledger: JSONValue?) -> Int64 {
        guard case .object(let reasons)? = ledger?["dropped"] else { return 0 }
        return reasons.filter { $0.key != "superseded" }.values.reduce(0) { $0 + ($1.integer ?? 0) }
    }
}
