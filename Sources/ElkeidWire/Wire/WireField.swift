// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The wire types of protobuf (protobuf.dev, "Encoding", Message Structure). 6 and 7 are not assigned.
public enum WireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case startGroup = 3
    case endGroup = 4
    case fixed32 = 5
}

/// One field's tag as read: what follows it is the value.
public struct WireField: Equatable, Sendable {
    /// 1 … 2^29 − 1.
    public let number: Int
    public let type: WireType
    /// Where the tag begins, in bytes from the start of the span being read.
    public let offset: Int

    public init(number: Int, type: WireType, offset: Int) {
        self.number = number
        self.type = type
        self.offset = offset
    }

    /// The largest field number: 2^29 − 1.
    public static let largestNumber = 536_870_911
}
