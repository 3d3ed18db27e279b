// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers

/// A frame that arrives in pieces, or needs more than its prefix rewritten.
struct PartialFrame {
    /// The frame so far, prefix included. Emptied at once when the record turns out to be malformed: what is going
    /// to be dropped holds no memory.
    private(set) var bytes = BufferChain()
    private var prefixBytes = 0
    private var length: UInt32 = 0
    private var remaining = 0
    private var validator = RecordValidator(length: 0)
    private var failure: MalformedRecord?

    var isComplete: Bool { prefixBytes == 4 && remaining == 0 }

    /// Takes what belongs to this frame from the head of `input`, and says how much that was.
    mutating func feed(_ input: Segment) throws(StreamLost) -> Int {
        var taken = 0
        while prefixBytes < 4 && taken < input.count {
            let byte = input.withBytes { $0.byte(at: taken) }
            length |= UInt32(byte) << UInt32(8 * prefixBytes)
            prefixBytes += 1
            taken += 1
            guard prefixBytes == 4 else { continue }
            if length > UInt32(FrameSplicer.maximumRecord) { throw StreamLost(length: length) }
            remaining = Int(length)
            validator = RecordValidator(length: remaining)
        }
        if taken > 0 { bytes.append(input.slice(0..<taken)) }
        let part = min(remaining, input.count - taken)
        guard part > 0 else { return taken }
        let body = input.slice(taken..<(taken + part))
        remaining -= part
        taken += part
        guard failure == nil else { return taken }
        do throws(MalformedRecord) {
            try body.withBytes { (span) throws(MalformedRecord) in try validator.consume(span) }
            bytes.append(body)
        } catch {
            failure = error
            bytes.removeAll()
        }
        return taken
    }

    /// The complete record as a field of PackagedData.
    consuming func finish(_ arena: Arena) throws(MalformedRecord) -> BufferChain {
        if let failure { throw failure }
        try validator.finish()
        var record = bytes
        if validator.payloads > 1 {
            record.removeFirst(4)
            return withPrefix(merged(record.toArray(), arena), arena)
        }
        if Int(length) <= FrameSplicer.paddedLimit {
            let prefix = RecordShape.paddedPrefix(Int(length)).littleEndian
            unsafe withUnsafeBytes(of: prefix) { record.overwriteFirst(unsafe RawSpan(_unsafeBytes: $0)) }
            return record
        }
        record.removeFirst(4)
        return withPrefix(record, arena)
    }

    /// Puts the field's tag and length in front, in bytes of their own.
    private func withPrefix(_ record: BufferChain, _ arena: Arena) -> BufferChain {
        var prefix: [UInt8] = [0x0a]
        appendVarint(UInt64(record.count), to: &prefix)
        var result = BufferChain()
        unsafe arena.append(prefix.span.bytes, to: &result)
        result.append(record)
        return result
    }

    /// A record with field 3 more than once, written again with one: as a message field its occurrences merge,
    /// which for serialised messages is concatenation; as bytes, which the server reads, only the last would count.
    private func merged(_ record: [UInt8], _ arena: Arena) -> BufferChain {
        var scalars: [UInt64?] = [nil, nil, nil]
        var payload: [UInt8] = []
        var at = 0
        // The validator has accepted these bytes: every varint ends and every length fits.
        while at < record.count {
            let tag = readVarint(record, &at)
            let field = Int(truncatingIfNeeded: tag >> 3)
            switch tag & 7 {
            case 0:
                let value = readVarint(record, &at)
                if field <= 2 { scalars[field] = value }
            case 2:
                let size = Int(readVarint(record, &at))
                if field == 3 { payload += record[at..<(at + size)] }
                at += size
            case 1: at += 8
            case 5: at += 4
            default: skipGroup(record, &at)
            }
        }
        var result: [UInt8] = []
        for field in 1...2 {
            guard let value = scalars[field] else { continue }
            result.append(UInt8(field << 3))
            appendVarint(value, to: &result)
        }
        result.append(0x1a)
        appendVarint(UInt64(payload.count), to: &result)
        result += payload
        var chain = BufferChain()
        unsafe arena.append(result.span.bytes, to: &chain)
        return chain
    }

    /// Behind the start of an unknown group: to behind its end.
    private func skipGroup(_ record: [UInt8], _ at: inout Int) {
        var depth = 1
        while depth > 0 {
            switch readVarint(record, &at) & 7 {
            case 0: _ = readVarint(record, &at)
            case 1: at += 8
            case 2:
                let size = Int(readVarint(record, &at))
                at += size
            case 3: depth += 1
            case 4: depth -= 1
            default: at += 4
            }
        }
    }

    private func readVarint(_ bytes: [UInt8], _ at: inout Int) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    private func appendVarint(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
