// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import FuzzSupport

/// A plugin's pipe with any bytes in it, cut in any way.
///
/// Input: how reads are cut, the message size, the bytes of the pipe. What comes out must be what a plain reading of
/// the same bytes finds, however they were cut, as PackagedData that can be read.
@main
enum FuzzFrames {
    static func main() {
        unsafe fuzz { bytes, count in
            var input = unsafe FuzzInput(bytes, count)
            let seed = input.byte()
            let choice = input.byte()
            let messageSize = [0, 1, 64, 500, 4000, 65536, 262_144, 8 << 20][Int(choice & 7)]
            if choice & 0xf0 == 0x80 {
                // Not in pieces of a few bytes: that would take long and find nothing new.
                check(stretched(input.rest()), cuts: Sizes(seed: seed | 6), messageSize: messageSize)
            } else {
                check(input.rest(), cuts: Sizes(seed: seed), messageSize: messageSize)
            }
            return 0
        }
    }
}

private func check(_ stream: [UInt8], cuts: Sizes, messageSize: Int) {
    let expected = Reference(stream)
    var cuts = cuts
    let whole = Outcome([stream[...]], slabSize: SlabPool.defaultSlabSize, messageSize: messageSize)
    let cut = Outcome(cuts.pieces(of: stream), slabSize: 8192, messageSize: messageSize)
    expect(whole == cut, "the cuts between reads change the result")
    expect(whole.lost == expected.lost, "the stream is lost for one of the two")
    expect(whole.malformed == expected.malformed, "\(whole.malformed) malformed frames, \(expected.malformed) expected")
    expect(whole.accepted == expected.records.count, "\(whole.accepted) accepted, \(expected.records.count) expected")
    expect(whole.isAtFrameBoundary == expected.isAtFrameBoundary, "the last frame is complete for one of the two")
    expect(whole.records == expected.records, "a record means something else to the server")
}

/// Large records from small inputs: 0xfe, 0xed and two bytes become as many times 64 bytes of 0x2a, within limits. As
/// the length of a frame that ends the stream; zeros would be a million empty records.
private func stretched(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var at = 0
    while at < bytes.count {
        if at + 3 < bytes.count, bytes[at] == 0xfe, bytes[at + 1] == 0xed, result.count < 2 << 20 {
            let count = (Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])) * 64
            result += Array(repeating: 0x2a, count: min(count, 5 << 19))
            at += 4
        } else {
            result.append(bytes[at])
            at += 1
        }
    }
    return result
}

/// What the server is to see of a record: the three fields, the payload's bytes as one.
struct SeenRecord: Equatable {
    var dataType: Int32 = 0
    var timestamp: Int64 = 0
    var payload: [UInt8] = []
}

/// The same stream read in the plainest way.
private struct Reference {
    var records: [SeenRecord] = []
    var malformed = 0
    var lost = false
    var isAtFrameBoundary = true

    init(_ stream: [UInt8]) {
        var at = 0
        while stream.count - at >= 4 {
            let length = (0..<4).reduce(0) { $0 | Int(stream[at + $1]) << (8 * $1) }
            if length > FrameSplicer.maximumRecord {
                lost = true
                return
            }
            guard length <= stream.count - at - 4 else { break }
            do throws(WireError) {
                records.append(try Self.read(Array(stream[(at + 4)..<(at + 4 + length)])))
            } catch {
                malformed += 1
            }
            at += 4 + length
        }
        isAtFrameBoundary = at == stream.count
    }

    private static func read(_ bytes: [UInt8]) throws(WireError) -> SeenRecord {
        var record = SeenRecord()
        var reader = WireReader(unsafe bytes.span.bytes)
        while let field = try reader.nextField() {
            switch field.number {
            case 1: record.dataType = try reader.int32(field)
            case 2: record.timestamp = try reader.int64(field)
            case 3: record.payload += try reader.bytes(field)
            default: try reader.skip(field)
            }
        }
        return record
    }
}
