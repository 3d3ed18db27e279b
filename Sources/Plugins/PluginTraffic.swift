// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What passed between the agent and one plugin, over all its processes.
public struct PluginTraffic: Equatable, Sendable {
    /// Records out of the plugin, and their bytes with framing.
    public var records: UInt64 = 0
    public var recordBytes: UInt64 = 0
    /// Tasks into the plugin.
    public var tasks: UInt64 = 0
    public var taskBytes: UInt64 = 0

    public init() {}
}
