// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Chooses which errors go to the server as records: the first few of each text and of all in an interval. What was
/// left out is counted, and said with the next one that passes.
struct ErrorSampler {
    /// Of the same text in one interval: enough to see that it repeats.
    static let perText = 4
    /// Of all texts: a host whose disk is full has many.
    static let perInterval = 32
    static let interval = TimeSpan.seconds(60)

    private var began: MonotonicTime?
    private var counts: [String: Int] = [:]
    private var passed = 0
    private var suppressed: UInt64 = 0

    /// Non-nil when this one is to be sent: how many were left out since the last that was.
    mutating func allow(_ text: String, at now: MonotonicTime) -> UInt64? {
        if began.map({ now - $0 >= Self.interval }) ?? true {
            began = now
            counts.removeAll(keepingCapacity: true)
            passed = 0
        }
        // No text beyond those that could pass is remembered.
        guard passed < Self.perInterval, counts[text, default: 0] < Self.perText else {
            suppressed += 1
            return nil
        }
        counts[text, default: 0] += 1
        passed += 1
        defer { suppressed = 0 }
        return suppressed
    }
}
