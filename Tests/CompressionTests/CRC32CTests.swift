// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct CRC32CTests {
    struct Vector: Sendable {
        let name: String
        let bytes: [UInt8]
        let value: UInt32
    }

    static let vectors = [
        Vector(name: "empty", bytes: [], value: 0),
        Vector(name: "check value of the algorithm", bytes: Array("123456789".utf8), value: 0xE306_9283),
        // RFC 3720, appendix B.4.
        Vector(name: "32 zeros", bytes: .init(repeating: 0, count: 32), value: 0x8A91_36AA),
        Vector(name: "32 ones", bytes: .init(repeating: 0xFF, count: 32), value: 0x62A8_AB43),
        Vector(name: "32 rising", bytes: Array(0..<32), value: 0x46DD_794E),
        Vector(name: "32 falling", bytes: (0..<32).reversed(), value: 0x113F_DB5C),
        Vector(
            name: "iSCSI read command",
            bytes: hex(
                "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000"
                    + "02000000 00000000"), value: 0xD996_3A56),
        // Go's hash/crc32 on the same generator, around the eight bytes that are taken at a time.
        Vector(name: "1 random", bytes: Sample.random.bytes(1), value: 0x2FDD_D530),
        Vector(name: "7 random", bytes: Sample.random.bytes(7), value: 0x005E_D6FC),
        Vector(name: "8 random", bytes: Sample.random.bytes(8), value: 0xC2DE_297D),
        Vector(name: "9 random", bytes: Sample.random.bytes(9), value: 0x5B95_02B9),
        Vector(name: "15 random", bytes: Sample.random.bytes(15), value: 0x422A_CCC4),
        Vector(name: "16 random", bytes: Sample.random.bytes(16), value: 0x3CCF_0C08),
        Vector(name: "17 random", bytes: Sample.random.bytes(17), value: 0x4608_EAE9),
        Vector(name: "1000 random", bytes: Sample.random.bytes(1000), value: 0x7817_FB4E),
        Vector(name: "65536 random", bytes: Sample.random.bytes(65_536), value: 0x18EA_B05D),
    ]

    @Test(arguments: vectors) func knownAnswer(_ vector: Vector) {
        #expect(unsafe CRC32C.checksum(of: vector.bytes.span.bytes) == vector.value)
    }

    @Test func cutsDoNotMatter() {
        let bytes = Sample.random.bytes(1000)
        for cut in 0...bytes.count {
            var crc = CRC32C()
            unsafe crc.update(bytes.span.extracting(..<cut).bytes)
            unsafe crc.update(bytes.span.extracting(cut...).bytes)
            #expect(crc.value == 0x7817_FB4E, "cut at \(cut)")
        }
    }

    @Test func maskIsThatOfTheFramingFormat() {
        var crc = CRC32C()
        // golang/snappy stores 78 6e e4 28 for "a": see the vectors of the snappy tests.
        unsafe crc.update(Array("a".utf8).span.bytes)
        #expect(crc.masked == 0x28E4_6E78)
    }
}
