// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// XXH64 with seed 0 of `bytes` (xxHash specification 0.1.1, "XXH64 Algorithm Description").
func xxh64(_ bytes: Span<UInt8>) -> UInt64 {
    let (prime1, prime2): (UInt64, UInt64) = (0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F)
    let (prime3, prime4): (UInt64, UInt64) = (0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63)
    let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    func word(_ offset: Int) -> UInt64 {
        let value = unsafe bytes.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
        return UInt64(littleEndian: value)
    }
    func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    func round(_ accumulator: UInt64, _ lane: UInt64) -> UInt64 {
        rotate(accumulator &+ lane &* prime2, 31) &* prime1
    }

    let count = bytes.count
    var position = 0
    var hash: UInt64
    if count >= 32 {
        var (a, b, c, d) = (prime1 &+ prime2, prime2, UInt64(0), UInt64(0) &- prime1)
        while position + 32 <= count {
            a = round(a, word(position))
            b = round(b, word(position + 8))
            c = round(c, word(position + 16))
            d = round(d, word(position + 24))
            position += 32
        }
        hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
        hash = (hash ^ round(0, a)) &* prime1 &+ prime4
        hash = (hash ^ round(0, b)) &* prime1 &+ prime4
        hash = (hash ^ round(0, c)) &* prime1 &+ prime4
        hash = (hash ^ round(0, d)) &* prime1 &+ prime4
    } else {
        hash = prime5
    }
    hash &+= UInt64(count)
    while position + 8 <= count {
        hash = rotate(hash ^ round(0, word(position)), 27) &* prime1 &+ prime4
        position += 8
    }
    if position + 4 <= count {
        let half = unsafe bytes.bytes.unsafeLoadUnaligned(fromByteOffset: position, as: UInt32.self)
        hash = rotate(hash ^ UInt64(UInt32(littleEndian: half)) &* prime1, 23) &* prime2 &+ prime3
        position += 4
    }
    while position < count {
        hash = rotate(hash ^ UInt64(bytes[position]) &* prime5, 11) &* prime1
        position += 1
    }
    hash = (hash ^ hash >> 33) &* prime2
    hash = (hash ^ hash >> 29) &* prime3
    return hash ^ hash >> 32
}
