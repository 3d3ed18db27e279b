// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// A universally unique identifier of RFC 9562.
public struct UUID: Sendable, Equatable, CustomStringConvertible {
    /// The namespace of ISO OIDs, in which agent ids are made.
    public static let objectIdentifiers = UUID(
        high: 0x6ba7_b812_9dad_11d1,
        low: 0x80b4_00c0_4fd4_30c8
    )

    private let high: UInt64
    private let low: UInt64

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Of 16 bytes, whose version and variant bits are set.
    private init(_ bytes: some Sequence<UInt8>, version: UInt64) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (index, byte) in bytes.prefix(16).enumerated() {
            if index < 8 { high = high << 8 | UInt64(byte) } else { low = low << 8 | UInt64(byte) }
        }
        self.init(high: high & ~0xf000 | version << 12, low: low & ~(0b11 << 62) | 0b10 << 62)
    }

    /// Version 5: of a name in a namespace, by SHA-1 (RFC 9562 section 5.5).
    public init(name: some Collection<UInt8>, in namespace: UUID) {
        self.init(SHA1.digest(namespace.bytes + Array(name)), version: 5)
    }

    /// Version 4: random.
    public init(using random: inout some RandomNumberGenerator) {
        let bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
        self.init(bytes, version: 4)
    }

    /// The 16 bytes, most significant first.
    public var bytes: [UInt8] {
        [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * $0)) } }
    }

    /// Lower-case, with dashes.
    public var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text.append(0x2d) }
            text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
        return text.text
    }
}

extension UUID {
    /// Why a text is no UUID. The upstream agent treats the two differently, and ids depend on it.
    public enum ParseError: Error, Equatable { case length, format }

    /// The forms that the upstream agent reads: 32 digits, 36 characters with dashes, these in braces or after
    /// "urn:uuid:".
    public init(parsing text: some Collection<UInt8>) throws(ParseError) {
        var form = Array(text)[...]
        switch form.count {
        case 32, 36: break
        case 38: form = form.dropFirst().dropLast()
        case 45:
            guard String(decoding: form.prefix(9), as: UTF8.self).lowercased() == "urn:uuid:" else { throw .length }
            form = form.dropFirst(9)
        default: throw .length
        }
        if form.count == 36 {
            let start = form.startIndex
            let dashes = [8, 13, 18, 23].map { start + $0 }
            guard dashes.allSatisfy({ form[$0] == 0x2d }) else { throw .format }
            form = form.indices.filter { !dashes.contains($0) }.map { form[$0] }[...]
        }
        var halves: (UInt64, UInt64) = (0, 0)
        for (index, byte) in form.enumerated() {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw .format }
            if index < 16 {
                halves.0 = halves.0 << 4 | UInt64(digit)
            } else {
                halves.1 = halves.1 << 4 | UInt64(digit)
            }
        }
        self.init(high: halves.0, low: halves.1)
    }
}
