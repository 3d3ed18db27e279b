// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import JSON

/// The agent's state as the server shows it: running, or abnormal with the reasons.
///
/// It is made anew from the causes each time it is asked for, so a reason is gone when its cause is, and none is there
/// twice.
struct StateReport: Equatable {
    /// Reasons beyond these are counted: the list is text in one field, and a person reads it.
    static let reasonLimit = 16
    /// Bytes of one reason.
    static let reasonLength = 512

    let reasons: [String]

    init(reasons all: [String]) {
        var seen = Set<String>()
        let different = all.filter { seen.insert($0).inserted }.map(Self.shortened)
        guard different.count > Self.reasonLimit else {
            reasons = different
            return
        }
        reasons =
            different.prefix(Self.reasonLimit - 1) + [
                "\(different.count - Self.reasonLimit + 1) more reasons; see the log"
            ]
    }

    /// "running" or "abnormal": the manager knows no other.
    var state: String { reasons.isEmpty ? "running" : "abnormal" }

    /// The JSON array that the console shows.
    var detail: String {
        var text: [UInt8] = [0x5b]
        for (index, reason) in reasons.enumerated() {
            if index > 0 { text.append(0x2c) }
            JSONString.append(reason, to: &text)
        }
        text.append(0x5d)
        return String(decoding: text, as: UTF8.self)
    }

    private static func shortened(_ text: String) -> String {
        guard text.utf8.count > reasonLength else { return text }
        var short = text.prefix(reasonLength)
        while short.utf8.count > reasonLength - 3 { short.removeLast() }
        return short + "…"
    }
}

/// What a heartbeat says that a server should know at once.
struct HeartbeatSubject: Equatable {
    var state: StateReport
    var idc: String
    var region: String
}
