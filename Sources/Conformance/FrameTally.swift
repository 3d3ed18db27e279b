// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What came through one pipe, or through several.
public struct FrameTally: Equatable, Sendable {
    public struct OfType: Equatable, Sendable {
        public var count = 0
        public var bytes = 0
        public var largest = 0
    }

    public var types: [Int32: OfType] = [:]
    public var oddities: [RecordOddity: Int] = [:]
    public var malformed = 0
    /// What was wrong with the first malformed record.
    public var firstDefect: String?
    /// A length above the agent's limit: from there on nothing can be told.
    public var lostAt: UInt32?

    public init() {}

    /// Well-formed ones.
    public var records: Int { types.values.reduce(0) { $0 + $1.count } }
    /// Of well-formed records, without the frames' lengths.
    public var bytes: Int { types.values.reduce(0) { $0 + $1.bytes } }
    public var largest: Int { types.values.reduce(0) { max($0, $1.largest) } }

    mutating func add(_ record: RecordExamination, size: Int) {
        if let defect = record.defect {
            malformed += 1
            firstDefect = firstDefect ?? "\(defect) (\(size) bytes)"
            return
        }
        types[record.dataType, default: OfType()].count += 1
        types[record.dataType, default: OfType()].bytes += size
        types[record.dataType, default: OfType()].largest = max(types[record.dataType]?.largest ?? 0, size)
        for oddity in record.oddities { oddities[oddity, default: 0] += 1 }
    }

    public mutating func add(_ other: FrameTally) {
        for (type, more) in other.types {
            var sum = types[type] ?? OfType()
            sum.count += more.count
            sum.bytes += more.bytes
            sum.largest = max(sum.largest, more.largest)
            types[type] = sum
        }
        for (oddity, count) in other.oddities { oddities[oddity, default: 0] += count }
        malformed += other.malformed
        firstDefect = firstDefect ?? other.firstDefect
        lostAt = lostAt ?? other.lostAt
    }
}
