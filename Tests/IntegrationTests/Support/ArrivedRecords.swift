// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What servers got together, of dumps that were written one after the other. `DumpedRecord` is for fewer records.
struct ArrivedRecords {
    /// One lane of a writer.
    struct Lane {
        private var seen: [Bool] = []
        private(set) var unique = 0
        private(set) var duplicates = 0
        /// New ones that came after a later one.
        private(set) var reordered = 0

        /// Those below the highest that are not there.
        var holes: Int { seen.count - unique }
        var firstHole: Int? { seen.firstIndex(of: false) }
        /// How many of the first `count` are not there.
        func missing(of count: Int) -> Int { count - seen.prefix(count).count { $0 } }

        fileprivate mutating func add(_ sequence: Int) {
            if sequence >= seen.count {
                seen.append(contentsOf: repeatElement(false, count: sequence - seen.count))
                seen.append(true)
                unique += 1
            } else if seen[sequence] {
                duplicates += 1
            } else {
                seen[sequence] = true
                unique += 1
                reordered += 1
            }
        }
    }

    /// More records than any test writes.
    private static let highest = 1 << 26
    // An entry's first field, with its name, and the tag of the second one.
    private static let laneKey = Array("\n\u{4}lane\u{12}".utf8)
    private static let sequenceKey = Array("\n\u{3}seq\u{12}".utf8)

    private(set) var lanes: [String: Lane] = [:]
    /// Records without a lane: the agent's own, but for heartbeats, which are not in dumps.
    private(set) var others = 0

    var unique: Int { lanes.values.reduce(0) { $0 + $1.unique } }
    var duplicates: Int { lanes.values.reduce(0) { $0 + $1.duplicates } }

    init(dumps: [String]) throws {
        for dump in dumps { try add(dump) }
    }

    private mutating func add(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        var next = 0
        // u32 type, u64 timestamp, u32 length, payload; one that is in progress at the end is left out.
        while next + 16 <= bytes.count {
            let length = bytes[next + 12..<next + 16].reversed().reduce(0) { $0 << 8 | Int($1) }
            let (start, end) = (next + 16, next + 16 + length)
            guard end <= bytes.count else { return }
            next = end
            // A writer's payload begins with these two.
            guard let lane = Self.value(of: Self.laneKey, in: bytes, from: start, to: end),
                let number = Self.value(of: Self.sequenceKey, in: bytes, from: lane.upperBound, to: end)
            else {
                others += 1
                continue
            }
            guard let sequence = Int(String(decoding: bytes[number], as: UTF8.self)),
                (0..<Self.highest).contains(sequence)
            else { throw Failure("\(path): a number that makes no sense before byte \(end)") }
            lanes[String(decoding: bytes[lane], as: UTF8.self), default: Lane()].add(sequence)
        }
    }

    /// Where the value is of the map's entry that begins at `start`, if it has that key. Both are short.
    private static func value(of key: [UInt8], in bytes: [UInt8], from start: Int, to end: Int) -> Range<Int>? {
        let place = start + 2 + key.count
        guard place < end, bytes[start] == 0x0a else { return nil }
        for index in key.indices where bytes[start + 2 + index] != key[index] { return nil }
        let length = Int(bytes[place])
        guard length < 0x80, place + 1 + length <= end else { return nil }
        return place + 1..<place + 1 + length
    }
}
