// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// One input of the fuzzer: a few bytes that choose how the rest is used, and the rest.
public struct FuzzInput {
    private var bytes: ArraySlice<UInt8>

    /// A copy of what libFuzzer lends.
    public init(_ bytes: UnsafePointer<UInt8>?, _ count: Int) {
        self.bytes = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))[...]
    }

    public var isEmpty: Bool { bytes.isEmpty }

    /// The next byte; 0 when there is none, so that a choice needs no care.
    public mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    /// At most `count` of the next bytes.
    public mutating func take(_ count: Int) -> [UInt8] {
        let part = bytes.prefix(count)
        bytes = bytes.dropFirst(count)
        return Array(part)
    }

    /// All bytes that are left.
    public mutating func rest() -> [UInt8] { take(bytes.count) }
}

/// Sizes that look random and depend on one byte of the input alone: where bytes are cut, how much room there is.
public struct Sizes {
    private var state: UInt64
    private let largest: Int

    /// - Parameter seed: the low three bits choose the largest size, from 1 to 64 KiB.
    public init(seed: UInt8) {
        state = 0x9e37_79b9_7f4a_7c15 &* (UInt64(seed) + 1)
        largest = [1, 2, 7, 40, 300, 2000, 9000, 1 << 16][Int(seed & 7)]
    }

    /// From `least` to the larger of `least` and the largest size.
    public mutating func next(atLeast least: Int = 1) -> Int {
        // xorshift64 (Marsaglia): short, and good enough to cut with.
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return least + Int(state >> 33) % max(1, largest - least + 1)
    }

    /// `bytes` cut into pieces.
    public mutating func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let size = next()
            pieces.append(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        return pieces
    }
}
