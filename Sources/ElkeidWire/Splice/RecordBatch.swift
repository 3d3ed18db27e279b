// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers

/// Records as they go out: a run of `PackagedData.records` fields, ready to be a message behind any header.
public struct RecordBatch {
    public internal(set) var bytes = BufferChain()
    public internal(set) var count = 0

    public init() {}

    /// A batch of records that the agent made itself, already encoded as fields of PackagedData.
    public init(encoded bytes: BufferChain, count: Int) {
        self.bytes = bytes
        self.count = count
    }

    public var isEmpty: Bool { count == 0 }
}
