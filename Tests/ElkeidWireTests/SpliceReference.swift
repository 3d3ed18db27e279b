// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import TestSupport
import Testing

/// What a stream must become, found in the plainest way: frame by frame, each record judged by `RecordValidator` alone,
/// those that are good packed into messages one after the other.
struct SpliceReference {
    private(set) var messages: [[UInt8]] = []
    private(set) var counts: [Int] = []
    private(set) var accepted = 0
    private(set) var malformed = 0
    private(set) var lastMalformed: MalformedRecord?
    /// Bytes behind the last whole frame.
    private(set) var rest = 0
    /// Has some record field 3 twice? Such a record is written anew, which is not said here.
    private(set) var hasMerged = false
    private let messageSize: Int

    init(_ stream: [UInt8], messageSize: Int) {
        self.messageSize = messageSize
        var at = 0
        while stream.count - at >= 4 {
            let length = (0..<4).reduce(0) { $0 | Int(stream[at + $1]) << (8 * $1) }
            guard length <= stream.count - at - 4 else { break }
            judge([UInt8](stream[(at + 4)..<(at + 4 + length)]))
            at += 4 + length
        }
        rest = stream.count - at
    }

    private mutating func judge(_ record: [UInt8]) {
        do throws(MalformedRecord) {
            var validator = RecordValidator(length: record.count)
            try record.withBytes { (bytes) throws(MalformedRecord) in try validator.consume(bytes) }
            try validator.finish()
            if validator.payloads > 1 { hasMerged = true }
            accepted += 1
            pack(Self.field(record))
        } catch {
            malformed += 1
            lastMalformed = error
        }
    }

    private mutating func pack(_ field: [UInt8]) {
        if let last = messages.last, last.count + field.count <= messageSize {
            messages[messages.count - 1] += field
            counts[counts.count - 1] += 1
        } else {
            messages.append(field)
            counts.append(1)
        }
    }

    /// Field 1 of PackagedData: the length in three bytes where they hold it.
    private static func field(_ record: [UInt8]) -> [UInt8] {
        let width = record.count < 1 << 21 ? 3 : 4
        return [0x0a] + TestVarint.padded(UInt64(record.count), width: width) + record
    }

    /// Does the splicer come to the same with reads that end at `cuts`?
    func check(
        _ stream: [UInt8],
        cuts: [Int] = [],
        slabSize: Int = 8 << 10,
        _ comment: @autoclosure () -> Comment,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var splicing = Splicing(slabSize: slabSize, messageSize: messageSize)
        try splicing.read(stream, cuts: cuts)
        let found = splicing.messages()
        let splicer = splicing.splicer
        var same = splicer.accepted == UInt64(accepted) && splicer.malformed == UInt64(malformed)
        same = same && splicer.lastMalformed == lastMalformed && splicer.isAtFrameBoundary == (rest == 0)
        if !hasMerged {
            same = same && found.count == messages.count && zip(found, messages).allSatisfy { areEqual($0, $1) }
            same = same && splicing.batches.map(\.count) == counts
        }
        guard !same else { return }
        let sizes = "batches \(found.map(\.count)), not \(messages.map(\.count))"
        Issue.record(
            "\(comment()), cuts \(cuts): accepted \(splicer.accepted), not \(accepted); malformed \(splicer.malformed), not \(malformed); \(sizes)",
            sourceLocation: sourceLocation
        )
    }
}

enum TestVarint {
    /// The low bits of a number in `width` bytes of varint, which need not be the shortest form.
    static func padded(_ value: UInt64, width: Int) -> [UInt8] {
        (0..<width).map { index in
            let bits = index < 10 ? UInt8(truncatingIfNeeded: value >> UInt64(7 * index)) & 0x7f : 0
            return index < width - 1 ? bits | 0x80 : bits
        }
    }

    /// Bytes of the shortest form.
    static func width(_ value: Int) -> Int { max(1, (Int.bitWidth - value.leadingZeroBitCount + 6) / 7) }
}

/// How the head of a record looks, which the splicer keeps in mind from one record to the next.
struct HeadShape: CustomTestStringConvertible {
    var type: [UInt8] = [0x3b]
    var time: [UInt8] = TestVarint.padded(1_700_000_000, width: 5)
    /// Bytes of the payload's length; those it takes at least, when that is more.
    var width = 1

    init() {}

    init(typeSize: Int, timeSize: Int, width: Int, last: UInt8 = 1) {
        type = [UInt8](repeating: 0x80 | last, count: typeSize - 1) + [last]
        time = [UInt8](repeating: 0xff, count: timeSize - 1) + [last]
        self.width = width
    }

    var testDescription: String { "heads of \(type.count), \(time.count) and \(width)" }

    /// Bytes in front of a payload.
    func size(payload: Int) -> Int { 3 + type.count + time.count + max(width, TestVarint.width(payload)) }

    /// A record whose length field is wrong by `error`, or as long as the record when that cannot be.
    func record(payload: Int, error: Int = 0, filler: UInt8 = 0x5a) -> [UInt8] {
        let said = max(0, payload + error)
        let length = TestVarint.padded(UInt64(said), width: max(width, TestVarint.width(said)))
        return [0x08] + type + [0x10] + time + [0x1a] + length + [UInt8](repeating: filler, count: payload)
    }

    /// A good record of `size` bytes in all; nil when no payload makes one.
    func record(size: Int) -> [UInt8]? {
        for payload in stride(from: size - 3 - type.count - time.count - width, through: 0, by: -1).prefix(4) {
            if self.size(payload: payload) + payload == size { return record(payload: payload) }
        }
        return nil
    }
}
