// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a center has seen since it was started.
public struct Statistics: Equatable, Sendable {
    /// Messages of Transfer streams.
    public var messages: UInt64 = 0
    public var records: UInt64 = 0
    /// Of the records as plugins wrote them.
    public var bytes: UInt64 = 0
    /// Records by data type.
    public var types: [Int32: UInt64] = [:]
    /// Streams that were admitted, and refused.
    public var streams = 0
    public var refused = 0
    /// Messages that could not be read.
    public var malformed = 0
    public var uploads = 0

    public init() {}
}

/// The latest record of a center, decoded only when somebody looks.
public struct LatestRecord: Equatable, Sendable {
    public var agentID: String
    /// A `Record` of the wire.
    public var bytes: [UInt8]

    public init(agentID: String, bytes: [UInt8]) {
        self.agentID = agentID
        self.bytes = bytes
    }
}
