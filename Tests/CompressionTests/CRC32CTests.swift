// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct CRC32CTests {
    struct Answer: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: [UInt8]
        let value: UInt32

        var testDescription: String { name }
    }

    static let answers = [
        Answer(name: "empty", bytes: [], value: 0),
        Answer(name: "check value of the algorithm", bytes: Array("123456789".utf8), value: 0xE306_9283),
        // RFC 3720, appendix B.4.
        Answer(name: "32 zeros", bytes: .init(repeating: 0, count: 32), value: 0x8A91_36AA),
        Answer(name: "32 ones", bytes: .init(repeating: 0xFF, count: 32), value: 0x62A8_AB43),
        Answer(name: "32 rising", bytes: Array(0..<32), value: 0x46DD_794E),
        Answer(name: "32 falling", bytes: (0..<32).reversed(), value: 0x113F_DB5C),
        Answer(
            name: "iSCSI read command",
            bytes: hex(
                "01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000"
                    + "02000000 00000000"
            ),
            value: 0xD996_3A56
        ),
        // Go's hash/crc32 on the same generator, around the eight bytes that are taken at a time.
        Answer(name: "1 random", bytes: Sample.random.bytes(1), value: 0x2FDD_D530),
        Answer(name: "7 random", bytes: Sample.random.bytes(7), value: 0x005E_D6FC),
        Answer(name: "8 random", bytes: Sample.random.bytes(8), value: 0xC2DE_297D),
        Answer(name: "9 random", bytes: Sample.random.bytes(9), value: 0x5B95_02B9),
        Answer(name: "15 random", bytes: Sample.random.bytes(15), value: 0x422A_CCC4),
        Answer(name: "16 random", bytes: Sample.random.bytes(16), value: 0x3CCF_0C08),
        Answer(name: "17 random", bytes: Sample.random.bytes(17), value: 0x4608_EAE9),
        Answer(name: "1000 random", bytes: Sample.random.bytes(1000), value: 0x7817_FB4E),
        Answer(name: "65536 random", bytes: Sample.random.bytes(65_536), value: 0x18EA_B05D),
    ]

    @Test(arguments: answers) func knownAnswer(_ answer: Answer) {
        #expect(unsafe CRC32C.checksum(of: answer.bytes.span.bytes) == answer.value)
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
