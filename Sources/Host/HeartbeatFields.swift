// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One field of a heartbeat.
public struct HeartbeatField: Sendable, Equatable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// What moved over a connection or a plugin's pipes, per second.
public struct TrafficRates: Sendable, Equatable {
    /// Bytes received and sent.
    public var received = 0.0
    public var sent = 0.0
    /// Commands or tasks received, records sent.
    public var receivedItems = 0.0
    public var sentItems = 0.0

    public init() {}
}

/// What only the agent knows about itself.
public struct AgentReport: Sendable, Equatable {
    public var idc = ""
    public var region = ""
    /// "sd", "private" or "public": how the connection was found.
    public var networkMode = ""
    /// "running" or "abnormal".
    public var state = "running"
    /// A JSON array of reasons.
    public var stateDetail = "[]"
    public var traffic = TrafficRates()
    /// Bytes below the agent's folder, plugins left out.
    public var directorySize: UInt64 = 0

    public init() {}
}

/// The values of the agent's own records, in the text forms that the server and the manager decode.
///
/// Integers are integral, fractions have 8 decimals. The server turns what parses as a number into one, so fields that
/// the manager wants as strings pass `ServerTyping.string`; platform_version, host_* , cpu_name and pversion stay
/// strings there and are left alone. A field "tags" is never among them: the server would fail on it.
public enum HeartbeatFields {
    /// Data type 1000. The fields of a process that could not be sampled are left out, as upstream does.
    public static func agent(
        facts: HostFacts,
        network: NetworkFacts,
        host: HostSample,
        process: ProcessSample?,
        report: AgentReport
    ) -> [HeartbeatField] {
        var fields = [
            string("kernel_version", facts.kernelVersion),
            string("arch", facts.architecture),
            string("platform", facts.platform.name),
            string("platform_family", facts.platform.family),
            HeartbeatField("platform_version", facts.platform.version),
            string("state", report.state),
            string("state_detail", report.stateDetail),
            string("idc", report.idc),
            string("region", report.region),
            string("net_mode", report.networkMode),
        ]
        fields += traffic(report.traffic)
        fields += usage(process)
        fields += [
            integer("du", report.directorySize),
            // Upstream's goroutines; here there is one thread.
            HeartbeatField("ngr", "1"),
            integer("nproc", host.processors),
            integer("total_mem", host.totalMemory),
            HeartbeatField("load_1", host.load1),
            HeartbeatField("load_5", host.load5),
            HeartbeatField("load_15", host.load15),
            integer("running_procs", host.runningTasks),
            integer("total_procs", host.totalTasks),
            HeartbeatField("host_serial", facts.serial),
            HeartbeatField("host_id", facts.productID),
            HeartbeatField("host_model", facts.model),
            HeartbeatField("host_vendor", facts.vendor),
            string("dns", network.dns),
            string("gateway", network.gateway),
            HeartbeatField("cpu_name", facts.processorName),
            integer("boot_time", host.bootTime),
            fraction("cpu_usage", host.processorUsage),
            fraction("mem_usage", host.memoryUsage),
        ]
        return fields
    }

    /// Data type 1001, for a plugin that lives.
    public static func plugin(
        name: String,
        version: String,
        process: ProcessSample?,
        traffic rates: TrafficRates,
        directorySize: UInt64
    ) -> [HeartbeatField] {
        [string("name", name), HeartbeatField("pversion", version)] + usage(process)
            + [integer("du", directorySize)] + traffic(rates)
    }

    private static func usage(_ process: ProcessSample?) -> [HeartbeatField] {
        guard let process else { return [] }
        return [
            fraction("cpu", process.cpu),
            integer("rss", process.residentBytes),
            fraction("read_speed", process.readSpeed),
            fraction("write_speed", process.writeSpeed),
            integer("pid", process.pid),
            integer("nfd", process.openDescriptors),
            integer("start_time", process.startTime),
        ]
    }

    private static func traffic(_ rates: TrafficRates) -> [HeartbeatField] {
        [
            fraction("rx_speed", rates.received),
            fraction("tx_speed", rates.sent),
            fraction("rx_tps", rates.receivedItems),
            fraction("tx_tps", rates.sentItems),
        ]
    }

    private static func string(_ name: String, _ value: String) -> HeartbeatField {
        HeartbeatField(name, ServerTyping.string(value, field: name))
    }

    private static func integer(_ name: String, _ value: some BinaryInteger) -> HeartbeatField {
        HeartbeatField(name, "\(value)")
    }

    private static func fraction(_ name: String, _ value: Double) -> HeartbeatField {
        HeartbeatField(name, NumberText.decimal(value))
    }
}
