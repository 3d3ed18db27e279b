// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Why bytes are not a well-formed message. `at` is a byte offset from the start of the outermost span.
public enum WireError: Error, Equatable, Sendable {
    /// The value beginning there (a tag, number, length or body) goes past the end of its message.
    case truncated(at: Int)
    /// The varint beginning there does not fit 64 bits.
    case varintTooLong(at: Int)
    /// The tag there has field number 0 or one above 2^29 − 1.
    case fieldNumber(at: Int)
    /// The tag there has wire type 6 or 7, or one that its known field cannot have.
    case wireType(at: Int)
    /// The end tag there closes no open group, or the group beginning there is never closed.
    case unbalancedGroup(at: Int)
    /// The group beginning there is nested deeper than `WireReader.largestGroupDepth`.
    case depth(at: Int)
    /// The string whose first byte is there is not valid UTF-8.
    case utf8(at: Int)
}

extension WireError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated(let at): "malformed message: the value at byte \(at) goes past the end"
        case .varintTooLong(let at): "malformed message: the varint at byte \(at) does not fit 64 bits"
        case .fieldNumber(let at): "malformed message: field number out of range at byte \(at)"
        case .wireType(let at): "malformed message: wrong wire type at byte \(at)"
        case .unbalancedGroup(let at): "malformed message: unbalanced group at byte \(at)"
        case .depth(let at): "malformed message: groups nested too deeply at byte \(at)"
        case .utf8(let at): "malformed message: the string at byte \(at) is not valid UTF-8"
        }
    }
}
