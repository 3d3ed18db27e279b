// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What passed between the agent and its servers since the start, over all connections.
public struct TransferTraffic: Equatable, Sendable {
    /// Bytes on the wire, TLS and HTTP/2 included.
    public var bytesSent: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var messagesSent: UInt64 = 0
    public var recordsSent: UInt64 = 0
    public var commandsReceived: UInt64 = 0
    /// Streams that servers took.
    public var connections: UInt64 = 0

    public init() {}
}
