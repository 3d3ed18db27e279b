// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One key of a section: its name, and how its value gets into the model and out of it.
struct Key<Section>: Sendable {
    let name: String
    /// A list takes a value from every line, a single value the last line's.
    let isList: Bool
    /// Takes over what is valid of a value, and returns what is not.
    let assign: @Sendable (_ text: String, _ folder: String, _ section: inout Section) -> [Problem]
    /// The value as it is written in the file: one text, or one for each item of a list.
    let render: @Sendable (Section) -> [String]

    init<Value>(
        _ name: String,
        _ path: any WritableKeyPath<Section, Value> & Sendable,
        _ format: ValueFormat<Value>
    ) {
        self.name = name
        isList = false
        assign = { text, folder, section in
            do throws(Problem) {
                section[keyPath: path] = try format.parse(text, folder)
                return []
            } catch {
                return [error]
            }
        }
        render = { [format.render($0[keyPath: path])] }
    }

    /// A list: separated by commas, accumulated over lines, emptied by an empty value.
    init<Item>(
        list name: String,
        _ path: any WritableKeyPath<Section, [Item]> & Sendable,
        _ format: ValueFormat<Item>
    ) {
        self.name = name
        isList = true
        assign = { text, folder, section in
            if text.isEmpty {
                section[keyPath: path] = []
                return []
            }
            var problems: [Problem] = []
            for item in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                let item = trimmed(String(decoding: item, as: UTF8.self))
                do throws(Problem) {
                    guard !item.isEmpty else { throw Problem("an item is empty", remedy: "remove the extra comma") }
                    section[keyPath: path].append(try format.parse(item, folder))
                } catch {
                    problems.append(error)
                }
            }
            return problems
        }
        render = { $0[keyPath: path].map(format.render) }
    }
}

/// Every section and key there is.
enum Schema {
    typealias Bounds = AgentConfiguration.Bounds

    static let agent: [Key<AgentConfiguration.Agent>] = [
        Key("id", \.id, .optional(.name)),
        Key("work_dir", \.workDirectory, .path),
        Key("log_dir", \.logDirectory, .path),
        Key("log_level", \.logLevel, .word),
        Key("log_max_size", \.logMaxSize, .byteCount(in: Bounds.logSize)),
        Key("log_max_files", \.logMaxFiles, .count(in: Bounds.logFiles)),
        Key("log_max_age", \.logMaxAge, .duration(in: Bounds.logAge)),
        Key("idc", \.idc, .name),
        Key("region", \.region, .name),
        Key("control_socket", \.controlSocket, .socketPath),
    ]

    static let tls: [Key<AgentConfiguration.TLS>] = [
        Key("ca", \.ca, .path),
        Key("certificate", \.certificate, .path),
        Key("private_key", \.privateKey, .path),
        Key("server_name", \.serverName, .name),
    ]

    static let region: [Key<AgentConfiguration.Region>] = [
        Key(list: "service_discovery", \.serviceDiscovery, .endpoint),
        Key(list: "private", \.privateEndpoints, .endpoint),
        Key(list: "public", \.publicEndpoints, .endpoint),
    ]

    static let transfer: [Key<AgentConfiguration.Transfer>] = [
        Key("compression", \.compression, .word),
        Key("linger", \.linger, .duration(in: Bounds.linger)),
        Key("message_size", \.messageSize, .byteCount(in: Bounds.messageSize)),
        Key("proxy", \.proxy, .optional(.proxy)),
    ]

    static let spool: [Key<AgentConfiguration.Spool>] = [
        Key("memory", \.memory, .byteCount(in: Bounds.spoolMemory)),
        Key("disk", \.disk, .byteCount(in: Bounds.spoolDisk)),
        Key("when_full", \.whenFull, .word),
        Key("replay_rate", \.replayRate, .byteCount(in: Bounds.spoolReplayRate)),
    ]

    static let plugins: [Key<AgentConfiguration.Plugins>] = [
        Key("work_dir", \.workDirectory, .optional(.path)),
        Key("memory_max", \.memoryMax, .inheritedIfEmpty(.byteCount(in: Bounds.memoryMax))),
        Key("cpu_max", \.cpuMax, .unlimitedIfEmpty(.cpuShare)),
        Key("pids_max", \.processesMax, .unlimitedIfEmpty(.count(in: Bounds.processes))),
        Key("download_ca", \.downloadCA, .optional(.path)),
        Key("download_proxy", \.downloadProxy, .optional(.proxy)),
        Key("high_priority_pipe", \.highPriorityPipe, .onOff),
    ]

    static let upgrade: [Key<AgentConfiguration.Upgrade>] = [
        Key("enabled", \.enabled, .onOff),
        Key("allow_lower", \.allowLower, .onOff),
        Key("allow_foreign", \.allowForeign, .onOff),
    ]

    static let plugin: [Key<AgentConfiguration.PluginOverride>] = [
        Key("memory_max", \.memoryMax, .inheritedIfEmpty(.byteCount(in: Bounds.memoryMax))),
        Key("cpu_max", \.cpuMax, .inheritedIfEmpty(.cpuShare)),
        Key("pids_max", \.processesMax, .inheritedIfEmpty(.count(in: Bounds.processes))),
    ]

    static let timeouts: [Key<AgentConfiguration.Timeouts>] = [
        Key("discovery", \.discovery, .duration(in: Bounds.timeout)),
        Key("connect", \.connect, .duration(in: Bounds.timeout)),
        Key("tls_handshake", \.tlsHandshake, .duration(in: Bounds.timeout)),
        Key("call_accept", \.callAccept, .duration(in: Bounds.timeout)),
        Key("reconnect_min", \.reconnectMin, .duration(in: Bounds.timeout)),
        Key("reconnect_max", \.reconnectMax, .duration(in: Bounds.timeout)),
        Key("keepalive", \.keepalive, .duration(in: Bounds.timeout)),
        Key("keepalive_timeout", \.keepaliveTimeout, .duration(in: Bounds.timeout)),
        Key("conflict_abnormal", \.conflictAbnormal, .duration(in: Bounds.timeout)),
        Key("plugin_drain", \.pluginDrain, .duration(in: Bounds.pluginStop)),
        Key("plugin_term", \.pluginTerm, .duration(in: Bounds.pluginStop)),
        Key("flush", \.flush, .duration(in: Bounds.pluginStop)),
        Key("stop", \.stop, .duration(in: Bounds.stop)),
        Key("heartbeat", \.heartbeat, .duration(in: Bounds.heartbeat)),
        Key("plugin_restart_min", \.pluginRestartMin, .duration(in: Bounds.timeout)),
        Key("plugin_restart_max", \.pluginRestartMax, .duration(in: Bounds.timeout)),
        Key("plugin_healthy", \.pluginHealthy, .duration(in: Bounds.timeout)),
        Key("probation", \.probation, .duration(in: Bounds.timeout)),
        Key("upgrade", \.upgrade, .duration(in: Bounds.upgrade)),
        Key("download", \.download, .duration(in: Bounds.timeout)),
        Key("download_stall", \.downloadStall, .duration(in: Bounds.timeout)),
        Key("download_retry_min", \.downloadRetryMin, .duration(in: Bounds.timeout)),
        Key("download_retry_max", \.downloadRetryMax, .duration(in: Bounds.timeout)),
        Key("install_retry_min", \.installRetryMin, .duration(in: Bounds.timeout)),
        Key("install_retry_max", \.installRetryMax, .duration(in: Bounds.timeout)),
        Key("upload", \.upload, .duration(in: Bounds.timeout)),
        Key("upload_interval", \.uploadInterval, .duration(in: Bounds.timeout)),
        Key("malformed_log", \.malformedLog, .duration(in: Bounds.timeout)),
        Key("confirm_ping", \.confirmPing, .duration(in: Bounds.timeout)),
        Key("spool_open", \.spoolOpen, .duration(in: Bounds.timeout)),
        Key("spool_age", \.spoolAge, .duration(in: Bounds.timeout)),
        Key("spool_sync", \.spoolSync, .duration(in: Bounds.timeout)),
        Key("spool_retry", \.spoolRetry, .duration(in: Bounds.timeout)),
        Key("spool_patience", \.spoolPatience, .duration(in: Bounds.timeout)),
        Key("settle", \.settle, .duration(in: Bounds.timeout)),
        Key("directory_size", \.directorySize, .duration(in: Bounds.directorySize)),
    ]

    /// The sections, how they are written, and the names of their keys.
    static let sections: [(kind: String, header: String, keys: [String])] = [
        ("agent", "[agent]", agent.map(\.name)),
        ("tls", "[tls]", tls.map(\.name)),
        ("region", "[region \"NAME\"]", region.map(\.name)),
        ("transfer", "[transfer]", transfer.map(\.name)),
        ("spool", "[spool]", spool.map(\.name)),
        ("plugins", "[plugins]", plugins.map(\.name)),
        ("plugin", "[plugin \"NAME\"]", plugin.map(\.name)),
        ("upgrade", "[upgrade]", upgrade.map(\.name)),
        ("timeouts", "[timeouts]", timeouts.map(\.name)),
    ]
}
