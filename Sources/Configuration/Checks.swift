// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

extension AgentConfiguration {
    /// What can only be judged when all is known.
    mutating func check(reader: inout SectionReader, origins: [String: Origin]) {
        checkNames(reader: &reader, origins: origins)
        checkRegion(reader: &reader, origin: origins["region"])
        checkTimeouts(reader: &reader)
    }

    private func checkRegion(reader: inout SectionReader, origin: Origin?) {
        let name = quoted(agent.region)
        let message: String
        let remedy: String
        switch regions[agent.region] {
        case nil:
            let known = regions.keys.sorted().prefix(8).map(quoted).joined(separator: ", ")
            message = "the region \(name) is not defined, so there is no server to connect to"
            remedy = "add a section [region \(name)], or choose one of \(known)"
        case let region? where region.isEmpty:
            message = "the region \(name) has no addresses, so there is no server to connect to"
            remedy = "set service_discovery, private or public in its section"
        default: return
        }
        report(.error, "region", origin, message, remedy: remedy, reader: &reader)
    }

    /// Reports what is wrong with a key of `[agent]`, where it was set.
    private func report(
        _ severity: Diagnostic.Severity,
        _ key: String,
        _ origin: Origin?,
        _ message: String,
        remedy: String,
        reader: inout SectionReader
    ) {
        reader.diagnostics.add(
            Diagnostic(
                severity,
                file: origin?.file ?? reader.file.path,
                line: origin == nil ? reader.line(of: key, in: "agent") : origin?.line,
                message: "\(origin?.name ?? "[agent] \(key)"): \(message)",
                remedy: remedy
            )
        )
    }

    /// A server takes every heartbeat field that reads as a number for a number, and then drops the host from its lists
    /// or sends it no configuration.
    private func checkNames(reader: inout SectionReader, origins: [String: Origin]) {
        for (key, value) in [("id", agent.id), ("idc", agent.idc), ("region", agent.region)] {
            guard let value, let number = Double(value), number.isFinite else { continue }
            report(
                .warning,
                key,
                origins[key],
                "\(quoted(value)) reads as a number, which servers do not take for a name",
                remedy: "choose one with a letter in front",
                reader: &reader
            )
        }
    }

    private mutating func checkTimeouts(reader: inout SectionReader) {
        let section = "timeouts"
        let standard = Timeouts()
        let pairs: [(String, WritableKeyPath<Timeouts, Duration>, String, WritableKeyPath<Timeouts, Duration>)] = [
            ("reconnect_min", \.reconnectMin, "reconnect_max", \.reconnectMax),
            ("plugin_restart_min", \.pluginRestartMin, "plugin_restart_max", \.pluginRestartMax),
            ("download_retry_min", \.downloadRetryMin, "download_retry_max", \.downloadRetryMax),
            ("install_retry_min", \.installRetryMin, "install_retry_max", \.installRetryMax),
        ]
        for (leastName, least, mostName, most) in pairs where timeouts[keyPath: least] > timeouts[keyPath: most] {
            let line = [reader.line(of: leastName, in: section), reader.line(of: mostName, in: section)]
            let (low, high) = (timeouts[keyPath: least], timeouts[keyPath: most])
            timeouts[keyPath: least] = standard[keyPath: least]
            timeouts[keyPath: most] = standard[keyPath: most]
            let used = [standard[keyPath: least], standard[keyPath: most]].map(TimeSpan.format)
            reader.report(
                .error,
                line.compactMap(\.self).max(),
                "[timeouts] \(leastName) (\(TimeSpan.format(low))) is longer than \(mostName) "
                    + "(\(TimeSpan.format(high))), using \(used[0]) and \(used[1])",
                remedy: "make \(leastName) the shorter one"
            )
        }
        if timeouts.keepalive < Bounds.politeKeepalive {
            let least = TimeSpan.format(Bounds.politeKeepalive)
            reader.report(
                .warning,
                reader.line(of: "keepalive", in: section),
                "[timeouts] keepalive: servers may end connections that are pinged as often as every "
                    + TimeSpan.format(timeouts.keepalive),
                remedy: "write \(least) or more"
            )
        }
    }
}
