// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The pipes between the agent and a plugin. The client that is made with them owns them.
public struct PluginDescriptors: Sendable, Equatable {
    /// Tasks are read here; 3 in a plugin that an agent started.
    public var tasks: CInt
    /// Records are written here; 4 in a plugin that an agent started.
    public var records: CInt
    /// High-priority records are written here; `nil` sends them through `records`.
    public var highPriorityRecords: CInt?

    public init(tasks: CInt, records: CInt, highPriorityRecords: CInt? = nil) {
        self.tasks = tasks
        self.records = records
        self.highPriorityRecords = highPriorityRecords
    }

    /// What the agent passes to a plugin: descriptors 3 and 4, and 5 if the environment variable
    /// `ELKEID_PLUGIN_HIGH_PRIORITY_PIPE` is set and not empty.
    public static var inherited: PluginDescriptors {
        let hasHighPriority = isSet(environmentVariable: "ELKEID_PLUGIN_HIGH_PRIORITY_PIPE")
        return PluginDescriptors(tasks: 3, records: 4, highPriorityRecords: hasHighPriority ? 5 : nil)
    }
}

/// Limits, times and policies of a plugin client. The defaults are those of the contract.
public struct PluginOptions: Sendable, Equatable {
    /// The longest task in bytes that is accepted; what the original Go library can take is 1 MiB.
    public var maximumTaskSize = 1 << 20
    /// The longest encoded record in bytes that is sent. The agent takes a longer one for a broken stream and stops
    /// the plugin.
    public var maximumRecordSize = 8 << 20
    /// Records are written when this many bytes have gathered for a pipe.
    public var bufferSize = 512 << 10
    /// Records are written at the latest this long after the first of them was put into an empty buffer.
    public var flushIntervalMilliseconds = 200
    /// What to do with records while the buffer is full and the agent does not read.
    public var backPressure = BackPressure.block
    /// How long `close` waits for the agent to read under `BackPressure.dropNewest`; under `.block` as long as it
    /// takes.
    public var closeTimeoutMilliseconds = 2000
    /// Takes SIGTERM (and in debug mode SIGINT) as the end of the agent: `receive` returns it, also one that waits,
    /// and the program flushes, closes and exits. A second signal ends the process at once. The handler stays
    /// installed for the process's life. With false none is installed.
    public var handlesTerminationSignal = true

    public init() {}
}
