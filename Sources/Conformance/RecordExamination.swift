// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire

/// Looks at every byte of one record.
public struct RecordExamination: Sendable {
    public private(set) var dataType: Int32 = 0
    public private(set) var timestamp: Int64 = 0
    /// The value of the field `token`.
    public private(set) var token: [UInt8]?
    public private(set) var oddities: Set<RecordOddity> = []
    /// Why the agent leaves the record out, or a server cannot read it; nil: it is well-formed.
    public private(set) var defect: String?

    /// 2100-01-01.
    private static let latestTimestamp: Int64 = 4_102_444_800

    /// - Parameter bytes: the Record, without the frame's length.
    public init(_ bytes: RawSpan) {
        var validator = RecordValidator(length: bytes.byteCount)
        do throws(MalformedRecord) {
            try validator.consume(bytes)
            try validator.finish()
        } catch {
            defect = "\(error)"
            return
        }
        do throws(WireError) { try readRecord(WireReader(bytes)) } catch { defect = "its payload: \(error)" }
    }

    private mutating func readRecord(_ reader: WireReader) throws(WireError) {
        var reader = reader
        var seen: [Int] = []
        var names: Set<[UInt8]> = []
        while let field = try reader.nextField() {
            switch field.number {
            case 1:
                let value = Int64(bitPattern: try reader.uint64(field))
                dataType = Int32(truncatingIfNeeded: value)
                if Int64(dataType) != value { oddities.insert(.dataTypeRange) }
            case 2: timestamp = try reader.int64(field)
            case 3: try readPayload(try reader.message(field), &names)
            default:
                try reader.skip(field)
                oddities.insert(.unknownField)
                continue
            }
            if seen.contains(field.number) {
                oddities.insert(.repeatedField)
            } else if let last = seen.last, last > field.number {
                oddities.insert(.otherOrder)
            }
            seen.append(field.number)
        }
        if !seen.contains(1) { oddities.insert(.withoutDataType) }
        if !seen.contains(2) { oddities.insert(.withoutTimestamp) }
        if !seen.contains(3) { oddities.insert(.withoutPayload) }
        if timestamp < 0 || timestamp > Self.latestTimestamp { oddities.insert(.timestampRange) }
        switch dataType {
        case 1000, 1001: oddities.insert(.ofTheAgent)
        case 1010, 1011: oddities.insert(.errorLog)
        default: break
        }
    }

    private mutating func readPayload(_ reader: WireReader, _ names: inout Set<[UInt8]>) throws(WireError) {
        var reader = reader
        while let field = try reader.nextField() {
            if field.number == 1 {
                try readEntry(try reader.message(field), &names)
            } else {
                try reader.skip(field)
                oddities.insert(.unknownField)
            }
        }
    }

    private mutating func readEntry(_ reader: WireReader, _ names: inout Set<[UInt8]>) throws(WireError) {
        var reader = reader
        var name: [UInt8]?
        var value: [UInt8]?
        while let field = try reader.nextField() {
            switch field.number {
            case 1: name = try reader.bytes(field)
            case 2: value = try reader.bytes(field)
            default:
                try reader.skip(field)
                oddities.insert(.unknownField)
            }
        }
        if name == nil || value == nil { oddities.insert(.incompleteEntry) }
        let key = name ?? []
        if !names.insert(key).inserted { oddities.insert(.repeatedName) }
        if String(validating: key, as: UTF8.self) == nil { oddities.insert(.nameNotText) }
        if let value, String(validating: value, as: UTF8.self) == nil { oddities.insert(.valueNotText) }
        if key.elementsEqual("token".utf8) { token = value ?? [] }
    }
}
