// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a record can have that is legal protobuf, and yet not what a plugin should write.
public enum RecordOddity: Int, CaseIterable, Sendable {
    case withoutDataType
    case withoutTimestamp
    case withoutPayload
    case otherOrder
    case repeatedField
    case unknownField
    case dataTypeRange
    case timestampRange
    case incompleteEntry
    case repeatedName
    case nameNotText
    case valueNotText
    case ofTheAgent
    case errorLog

    /// Said of a number of records.
    var text: String {
        switch self {
        case .withoutDataType: "without field 1, so their data type is 0"
        case .withoutTimestamp: "without field 2, so their timestamp is 0"
        case .withoutPayload: "without a payload"
        case .otherOrder: "with fields not in the order 1, 2, 3"
        case .repeatedField: "with one of the fields 1 to 3 twice"
        case .unknownField: "with fields that a Record does not have"
        case .dataTypeRange: "with a data type outside of int32"
        case .timestampRange: "with a timestamp that is not between 1970 and 2100 in seconds"
        case .incompleteEntry: "with a map entry that lacks its key or its value"
        case .repeatedName: "with a key twice"
        case .nameNotText: "with a key that is not UTF-8"
        case .valueNotText: "with values that are not UTF-8, which is legal"
        case .ofTheAgent: "of data type 1000 or 1001, the agent's own heartbeats"
        case .errorLog: "of data type 1010 or 1011, which is for error messages"
        }
    }

    /// Empty where there is nothing to do.
    var advice: String {
        switch self {
        case .withoutDataType, .withoutTimestamp, .withoutPayload, .otherOrder:
            "Legal, but the original agent takes all three fields for granted, in this order: write them all."
        case .repeatedField: "Only the last one counts, and for the payload readers differ: write each field once."
        case .unknownField: "They are passed on and ignored: leave them out."
        case .dataTypeRange: "Write an int32; a negative one is a varint of 10 bytes."
        case .timestampRange: "Write seconds since 1970, not milliseconds."
        case .incompleteEntry: "Write key and value of a map entry also when they are empty."
        case .repeatedName: "Only the last one counts: give each key once."
        case .nameNotText: "Servers cannot show it: use UTF-8 for keys."
        case .ofTheAgent: "A server takes it for the host's state, and sends its configuration: use another type."
        case .valueNotText, .errorLog: ""
        }
    }

    var verdict: Verdict { advice.isEmpty ? .pass : .warn }
}
