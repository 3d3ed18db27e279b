// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a server sends on the Transfer stream. With a task it is that task; without one, `configs` is the complete list
/// of components that shall run, so that an empty command means "none".
public struct Command: WireMessage, Equatable, Sendable {
    /// Sent by managers for the agent itself; its values are not documented.
    public var agentControl: Int32 = 0
    public var task: PluginTask?
    public var configs: [PluginConfig] = []

    public init() {}

    public init(agentControl: Int32 = 0, task: PluginTask? = nil, configs: [PluginConfig] = []) {
        self.agentControl = agentControl
        self.task = task
        self.configs = configs
    }

    public mutating func merge(_ reader: WireReader) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            switch field.number {
            case 1: agentControl = try reader.int32(field)
            case 2:
                var merged = task ?? PluginTask()
                try merged.merge(try reader.message(field))
                task = merged
            case 3:
                var config = PluginConfig()
                try config.merge(try reader.message(field))
                configs.append(config)
            default: try reader.skip(field)
            }
        }
    }

    public var encodedSize: Int {
        var size = WireWriter.int64Size(1, Int64(agentControl))
        if let task { size += WireWriter.elementSize(2, length: task.encodedSize) }
        for config in configs { size += WireWriter.elementSize(3, length: config.encodedSize) }
        return size
    }

    public func encode(into writer: inout WireWriter) {
        writer.int32(1, agentControl)
        if let task { writer.message(2, task) }
        for config in configs { writer.message(3, config) }
    }
}
