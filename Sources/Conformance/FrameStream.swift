// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire

/// Cuts what a plugin writes into frames, and looks into each.
public struct FrameStream: Sendable {
    public private(set) var tally = FrameTally()
    private var bytes: [UInt8] = []

    public init() {}

    /// Bytes of a frame that has begun and is not complete. At the end of the stream it is torn.
    public var pending: Int { tally.lostAt == nil ? bytes.count : 0 }

    /// Takes the next bytes, cut anywhere.
    ///
    /// - Returns: the values of the fields `token` in the records that they complete.
    public mutating func feed(_ more: [UInt8]) -> [String] {
        guard tally.lostAt == nil else { return [] }
        bytes += more
        var tokens: [String] = []
        var position = 0
        while bytes.count - position >= 4 {
            let length = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[position + $1]) << UInt32(8 * $1) }
            guard length <= FrameSplicer.maximumRecord else {
                tally.lostAt = length
                bytes = []
                return tokens
            }
            let end = position + 4 + Int(length)
            guard end <= bytes.count else { break }
            let record = RecordExamination(unsafe bytes.span.bytes.extracting((position + 4)..<end))
            tally.add(record, size: Int(length))
            if let token = record.token { tokens.append(String(decoding: token, as: UTF8.self)) }
            position = end
        }
        if position > 0 { bytes.removeFirst(position) }
        return tokens
    }
}
