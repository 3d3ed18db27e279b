// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A record in a server's dump that carries a lane and a number. What a server has dumped survives its crash, and can
/// be put together with what other servers got.
struct DumpedRecord: Hashable {
    let lane: String
    let sequence: Int

    init(lane: String, sequence: Int) {
        self.lane = lane
        self.sequence = sequence
    }

    /// The numbered records of a dump; one that is in progress at the end is left out.
    static func all(in path: String) throws -> [DumpedRecord] {
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
        var records: [DumpedRecord] = []
        var next = 0
        // u32 type, u64 timestamp, u32 length, payload
        while next + 16 <= bytes.count {
            let length = bytes[next + 12..<next + 16].reversed().reduce(0) { $0 << 8 | Int($1) }
            guard next + 16 + length <= bytes.count else { break }
            if let record = try DumpedRecord(payload: bytes[next + 16..<next + 16 + length]) { records.append(record) }
            next += 16 + length
        }
        return records
    }

    /// Nil if the payload has no lane and number.
    private init?(payload: ArraySlice<UInt8>) throws {
        var (lane, sequence): (String?, Int?)
        try Self.eachField(of: payload) { _, entry in
            var (key, value): (ArraySlice<UInt8>, ArraySlice<UInt8>) = ([], [])
            try Self.eachField(of: entry) { if $0 == 1 { key = $1 } else { value = $1 } }
            switch String(decoding: key, as: UTF8.self) {
            case "lane": lane = String(decoding: value, as: UTF8.self)
            case "seq": sequence = Int(String(decoding: value, as: UTF8.self))
            default: break
            }
        }
        guard let lane, let sequence else { return nil }
        self.lane = lane
        self.sequence = sequence
    }

    /// All fields of such a payload are length-delimited.
    private static func eachField(
        of bytes: ArraySlice<UInt8>,
        _ visit: (_ number: Int, _ value: ArraySlice<UInt8>) throws -> Void
    ) throws {
        var rest = bytes
        while !rest.isEmpty {
            let (tag, length) = (try varint(&rest), try varint(&rest))
            guard tag & 7 == 2, length <= rest.count else { throw Failure("a payload in the dump is malformed") }
            try visit(tag >> 3, rest.prefix(length))
            rest = rest.dropFirst(length)
        }
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) throws -> Int {
        var (value, shift) = (0, 0)
        while let byte = rest.popFirst(), shift < 63 {
            value |= Int(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        throw Failure("a payload in the dump is cut off")
    }
}
