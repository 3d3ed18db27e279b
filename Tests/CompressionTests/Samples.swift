// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

/// Data that other programs can make too, so that vectors need not hold it.
enum Sample: String, CaseIterable, Sendable {
    /// A linear congruential generator: compressors find nothing in it.
    case random
    /// A short text again and again.
    case text
    case zeros

    func bytes(_ count: Int) -> [UInt8] {
        switch self {
        case .random:
            var state: UInt32 = 1
            return (0..<count).map { _ in
                state = state &* 1_664_525 &+ 1_013_904_223
                return UInt8(state >> 24)
            }
        case .text:
            let words = Array("elkeid agent record ".utf8)
            return (0..<count).map { words[$0 % words.count] }
        case .zeros:
            return [UInt8](repeating: 0, count: count)
        }
    }
}

/// Bytes written as hexadecimal digits; spaces are allowed.
func hex(_ digits: String) -> [UInt8] {
    let values = digits.compactMap(\.hexDigitValue)
    return stride(from: 0, to: values.count - 1, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
}

/// A chunk of snappy's framing format.
func snappyChunk(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
    [type, UInt8(body.count & 0xFF), UInt8(body.count >> 8 & 0xFF), UInt8(body.count >> 16)] + body
}

let snappyIdentifier = snappyChunk(0xFF, Array("sNaPpY".utf8))

/// A message and what another program made of it.
struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let message: [UInt8]
    let stream: [UInt8]

    var testDescription: String { name }
}

/// A body and the error it must end with; nil if none.
struct Body: Sendable, CustomTestStringConvertible {
    let name: String
    let stream: [UInt8]
    let reason: CompressionError.Reason?

    init(_ name: String, _ stream: [UInt8], _ reason: CompressionError.Reason? = nil) {
        self.name = name
        self.stream = stream
        self.reason = reason
    }

    var testDescription: String { name }
}
