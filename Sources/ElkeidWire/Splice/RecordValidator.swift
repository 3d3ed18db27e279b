// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers

/// Why a record was refused: what follows in the message would be read wrongly by the server, and its stream would
/// end for every plugin.
public enum MalformedRecord: Error, Equatable, Sendable, CustomStringConvertible {
    case fieldNumber
    case wireType(UInt8)
    case unbalancedGroup
    case groupsTooDeep
    case varintTooLong
    case fieldType(field: Int)
    case pastTheEnd

    public var description: String {
        switch self {
        case .fieldNumber: "a field number outside 1...536870911"
        case .wireType(let type): "wire type \(type), which does not exist"
        case .unbalancedGroup: "a group that is not closed, or closed without being opened"
        case .groupsTooDeep: "groups nested over \(RecordValidator.groupLimit) deep"
        case .varintTooLong: "a varint of more than 64 bits"
        case .fieldType(let field): "field \(field) with the wire type of another"
        case .pastTheEnd: "a field that reaches past the end of the record"
        }
    }
}

/// Checks that bytes are a Record at the top level: fields 1 and 2 varints, field 3 length-delimited, everything
/// else well-formed. It can stop anywhere and go on with the next bytes; nothing inside the payload is looked at.
///
/// The order of fields is free, each may be absent, and unknown ones are legal (protobuf encoding, proto3).
public struct RecordValidator {
    /// Nested groups accepted; the C++ and upb decoders stop at 100 as well.
    public static let groupLimit = 100

    private enum State {
        case tag
        case varint
        case length(field: Int)
        case skip
    }

    private var state = State.tag
    private var remaining: Int
    /// The varint being read, and how many bytes of it were.
    private var value: UInt64 = 0
    private var varintBytes = 0
    private var toSkip = 0
    private var groups: [Int] = []
    /// How often field 3 was there. Twice is legal and means two different things to Record and EncodedRecord.
    public private(set) var payloads = 0

    /// - Parameter length: bytes of the whole record.
    public init(length: Int) { remaining = length }

    /// Checks the next `bytes`, which must not go beyond the record's length.
    public mutating func consume(_ bytes: RawSpan) throws(MalformedRecord) {
        var offset = 0
        let end = bytes.byteCount
        while offset < end {
            if case .skip = state {
                let part = min(toSkip, end - offset)
                toSkip -= part
                offset += part
                remaining -= part
                if toSkip == 0 { state = .tag }
                continue
            }
            let byte = bytes.byte(at: offset)
            offset += 1
            remaining -= 1
            // The tenth byte carries one bit; Go's decoder refuses more.
            if varintBytes == 9 && byte > 1 { throw .varintTooLong }
            value |= UInt64(byte & 0x7f) << UInt64(7 * varintBytes)
            varintBytes += 1
            if byte < 0x80 { try varintEnded() }
        }
    }

    /// Call after the last byte.
    public func finish() throws(MalformedRecord) {
        guard case .tag = state, varintBytes == 0 else { throw .pastTheEnd }
        if !groups.isEmpty { throw .unbalancedGroup }
    }

    private mutating func varintEnded() throws(MalformedRecord) {
        let value = self.value
        self.value = 0
        varintBytes = 0
        switch state {
        case .tag: try tagEnded(value)
        case .varint: state = .tag
        case .length(let field):
            guard value <= UInt64(remaining) else { throw .pastTheEnd }
            if field == 3 && groups.isEmpty { payloads += 1 }
            skip(Int(value))
        case .skip: preconditionFailure("no varint is read while skipping")
        }
    }

    private mutating func tagEnded(_ tag: UInt64) throws(MalformedRecord) {
        let number = tag >> 3
        guard number >= 1 && number <= 536_870_911 else { throw .fieldNumber }
        let field = Int(number)
        let type = UInt8(tag & 7)
        if groups.isEmpty && (field <= 2 && type != 0 || field == 3 && type != 2) {
            if type >= 6 { throw .wireType(type) }
            throw .fieldType(field: field)
        }
        switch type {
        case 0: state = .varint
        case 1: try skipFixed(8)
        case 2: state = .length(field: field)
        case 3:
            guard groups.count < Self.groupLimit else { throw .groupsTooDeep }
            groups.append(field)
        case 4:
            guard groups.popLast() == field else { throw .unbalancedGroup }
        case 5: try skipFixed(4)
        default: throw .wireType(type)
        }
    }

    private mutating func skipFixed(_ count: Int) throws(MalformedRecord) {
        guard count <= remaining else { throw .pastTheEnd }
        skip(count)
    }

    private mutating func skip(_ count: Int) {
        toSkip = count
        state = count == 0 ? .tag : .skip
    }
}
