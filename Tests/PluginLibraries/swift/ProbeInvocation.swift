// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin

/// The probe's arguments.
struct ProbeInvocation {
    var options = PluginOptions()
    var descriptors = PluginDescriptors.inherited
    /// The file of commands for debug mode.
    var commands: String?

    /// Nil when an argument is not valid.
    init?(_ arguments: some Sequence<String>) {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, take(parts[0], parts[1]) else { return nil }
        }
    }

    private mutating func take(_ name: String, _ value: String) -> Bool {
        switch (name, value, Int(value)) {
        case ("policy", "block", _): options.backPressure = .block
        case ("policy", "drop", _): options.backPressure = .dropNewest
        case ("buffer", _, let bytes?): options.bufferSize = bytes
        case ("flush", _, let time?): options.flushIntervalMilliseconds = time
        case ("record-limit", _, let bytes?): options.maximumRecordSize = bytes
        case ("task-limit", _, let bytes?): options.maximumTaskSize = bytes
        case ("close-timeout", _, let time?): options.closeTimeoutMilliseconds = time
        case ("sigterm", "on", _): options.handlesTerminationSignal = true
        case ("sigterm", "off", _): options.handlesTerminationSignal = false
        case ("commands", _, _): commands = value
        case ("fds", _, _):
            let numbers = value.split(separator: ",").compactMap { CInt($0) }
            guard 2...3 ~= numbers.count else { return false }
            descriptors = PluginDescriptors(
                tasks: numbers[0],
                records: numbers[1],
                highPriorityRecords: numbers.count == 3 ? numbers[2] : nil
            )
        default: return false
        }
        return true
    }
}

extension PluginError {
    /// The name that the probes of all languages give to it.
    var kind: String {
        switch self {
        case .descriptorNotOpen: "descriptor-not-open"
        case .descriptorUnusable: "descriptor-unusable"
        case .agentGone: "agent-gone"
        case .closed: "closed"
        case .incompleteTask: "incomplete-task"
        case .taskTooLarge: "task-too-large"
        case .malformedTask: "malformed-task"
        case .recordTooLarge: "record-too-large"
        case .system: "system"
        }
    }
}

/// Bytes in lower-case hexadecimal digits; "-" for none.
func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    let text = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return text.isEmpty ? "-" : String(decoding: text, as: UTF8.self)
}

/// The opposite of `hex`; nil when it is not that.
func bytes(hex text: some StringProtocol) -> [UInt8]? {
    if text == "-" { return [] }
    let digits = text.compactMap(\.hexDigitValue)
    guard digits.count == text.utf8.count, digits.count % 2 == 0 else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
