// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Cgroups
import Configuration
import Delivery
import ElkeidWire
import Glibc
import Host
import JSON
import Net
import Plugins
import Reactor
import Syscalls
import TLS
import Transport

// The answer to "status": everything that tells how the agent is doing. Counters rather than rates: whoever asks twice
// can tell those, over the time that he chooses. The members are described in docs/control.md.
extension Agent {
    var status: JSONValue {
        let now = MonotonicTime.now()
        let state = stateReport
        return .object([
            "version": .string(version),
            "id": .string(identity.id),
            "id_origin": .string("\(identity.origin)"),
            "pid": .integer(Int64(getpid())),
            "time": .real(Moment.now().wall),
            "uptime": .real((now - started).seconds),
            "state": .string(state.state),
            "reasons": .strings(state.reasons),
            "stopping": .bool(stopRequested),
            "configuration": .string(source.path),
            "work_dir": .string(configuration.agent.workDirectory),
            "log": .string(sink.path ?? ""),
            "idc": .string(configuration.agent.idc),
            "region": .string(configuration.agent.region),
            "connection": connectionStatus(now),
            "traffic": traffic,
            "process": processStatus(getpid()),
            "loop": loopStatus,
            "memory": memoryStatus,
            "ledger": outbox.ledger.value,
            "lanes": .object(Dictionary(outbox.lanes.map { ($0.name, $0.ledger.value) }) { first, _ in first }),
            "spool": spoolStatus,
            "limits": .string(limitsDescription),
            "plugins": .array(plugins.plugins.map { pluginStatus($0, now) } + absentPlugins),
            "components": .strings(plugins.componentLines),
            "configured": .bool(hasConfiguration),
            "wanted": .strings(plugins.desired.map(\.name)),
            "upgrade": .string(upgrade.text),
            "problems": recentProblems.json,
        ])
    }

    private func connectionStatus(_ now: MonotonicTime) -> JSONValue {
        let facts = transfer.facts
        var members: [String: JSONValue] = [
            "state": .string(transfer.state.name), "text": .string("\(transfer.state)"),
            "net_mode": .string(facts.mode?.rawValue ?? "unknown"),
            "compression": .string("\(configuration.transfer.compression)"),
        ]
        func add(_ name: String, _ value: String?) { members[name] = value.map { .string($0) } }
        add("endpoint", facts.endpoint.map { "\($0)" })
        add("remote_address", facts.remoteAddress)
        add("local_address", facts.localAddress)
        add("tls", facts.tlsVersion)
        add("cipher", facts.cipher)
        add("last_failure", facts.lastFailure)
        members["seconds"] = facts.since.map { .real((now - $0).seconds) }
        members["next_attempt"] = facts.nextAttempt.map { .real(max(0, ($0 - now).seconds)) }
        if facts.tlsVersion != nil { members["resumed"] = .bool(facts.isResumed) }
        if let certificate = facts.certificate {
            members["certificate"] = .object([
                "subject": .string(certificate.subject), "issuer": .string(certificate.issuer),
                "begin": certificate.begin.map { .integer($0) } ?? .null,
                "end": certificate.end.map { .integer($0) } ?? .null,
                "names": .strings(certificate.alternativeNames),
            ])
        }
        return .object(members)
    }

    private var traffic: JSONValue {
        let traffic = transfer.currentTraffic
        return .object([
            "bytes_sent": .count(traffic.bytesSent), "bytes_received": .count(traffic.bytesReceived),
            "messages_sent": .count(traffic.messagesSent), "records_sent": .count(traffic.recordsSent),
            "commands_received": .count(traffic.commandsReceived), "connections": .count(traffic.connections),
        ])
    }

    private func processStatus(_ pid: Int32) -> JSONValue {
        var sampler = ProcessSampler(pid: pid)
        guard let sample = sampler.sample() else { return .null }
        return .object([
            "cpu_seconds": .real(sample.cpuTime), "rss": .count(sample.residentBytes),
            "descriptors": .integer(Int64(sample.openDescriptors)), "started": .count(sample.startTime),
        ])
    }

    private var loopStatus: JSONValue {
        let loop = reactor.statistics
        return .object([
            "turns": .count(loop.turns), "wakeups": .count(loop.wakeups), "timers": .count(loop.timersFired),
            "events": .count(loop.events), "stale_events": .count(loop.staleEvents),
            "longest_turn_us": .integer(loop.longestTurn / 1000), "sources": .integer(Int64(reactor.sourceCount)),
        ])
    }

    private var memoryStatus: JSONValue {
        .object([
            "slabs": .integer(Int64(pool.outstanding)), "slab_size": .integer(Int64(pool.slabSize)),
            "limit": .integer(Int64(pool.limit)), "unconfirmed_bytes": .integer(Int64(outbox.inFlightBytes)),
        ])
    }

    private var spoolStatus: JSONValue {
        var members: [String: JSONValue] = [
            "bytes": .integer(Int64(spool.spooler.bytes)), "limit": .integer(Int64(configuration.spool.disk)),
            "path": .string(spool.path),
        ]
        members["problem"] = spool.problem.map { .string($0) }
        return .object(members)
    }

    private func pluginStatus(_ plugin: Plugin, _ now: MonotonicTime) -> JSONValue {
        let traffic = plugin.traffic
        var members: [String: JSONValue] = [
            "name": .string(plugin.name), "version": .string(plugin.version),
            "state": .string("\(plugin.state)"),
            "restarts": .integer(Int64(plugin.restarts)), "directory": .string(plugin.directory),
            "records": .count(traffic.records), "record_bytes": .count(traffic.recordBytes),
            "tasks": .count(traffic.tasks), "task_bytes": .count(traffic.taskBytes), "ledger": plugin.ledger.value,
        ]
        if let pid = plugin.pid {
            members["pid"] = .integer(Int64(pid))
            members["process"] = processStatus(pid)
        }
        if let next = plugin.nextStart { members["next_start"] = .real(max(0, (next - now).seconds)) }
        if let group = plugin.group { members["cgroup"] = groupStatus(group) }
        let problem = plugins.problems[plugin.name] ?? (plugin.isRunning ? nil : plugin.lastProblem)
        members["problem"] = problem.map { .string($0) }
        if let end = plugin.lastEnd {
            members["last_end"] = .object(["reason": .string(end.reason), "seconds_ago": .real((now - end.at).seconds)])
        }
        return .object(members)
    }

    private func groupStatus(_ group: PluginGroup) -> JSONValue {
        let usage = group.usage
        var members: [String: JSONValue] = [:]
        members["memory"] = usage.memory.map { .integer($0) }
        members["cpu_seconds"] = usage.cpuSeconds.map { .real($0) }
        members["pids"] = usage.processes.map { .integer($0) }
        members["memory_max"] = group.limits.memory.map { .integer(Int64($0)) }
        members["cpu_max_percent"] = group.limits.cpuPercent.map { .integer(Int64($0)) }
        members["pids_max"] = group.limits.processes.map { .integer(Int64($0)) }
        return .object(members)
    }

    /// What should run and has never been started, or is refused.
    private var absentPlugins: [JSONValue] {
        let present = Set(plugins.plugins.map(\.name))
        return plugins.problems.filter { !present.contains($0.key) }.sorted { $0.key < $1.key }.map { name, problem in
            .object(["name": .string(name), "state": .string("not running"), "problem": .string(problem)])
        }
    }
}

extension JSONValue {
    /// What JSON's readers take for a whole number.
    static func count(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }
}
