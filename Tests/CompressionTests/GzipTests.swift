// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Testing

@Suite struct GzipTests {
    /// Written by Go's compress/gzip at level 1.
    static let goOne = hex("1f8b08000000000004ff000100feff61010000ffff43beb7e801000000")

    static let goVectors = [
        Vector(name: "stored", message: Array("a".utf8), stream: goOne),
        Vector(
            name: "dynamic codes",
            message: Sample.text.bytes(200),
            stream: hex(
                "1f8b08000000000004ffd4c8510900201443d12aab26ee22a2280cfb638ef77bd88b69b5c1790afd"
                    + "c6aa683f0000ffff8c914994c8000000"
            )
        ),
        Vector(
            name: "several blocks",
            message: Sample.zeros.bytes(70_000),
            stream: hex(
                "1f8b08000000000004ffecc0810000000080a0fda917a90000000000000000000000000000000000"
                    + "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "000000000000a066878e050000000006f95b4f626721e4000000006056000000ffffdcc8a9a67011"
                    + "0100"
            )
        ),
    ]

    @Test(arguments: goVectors) func readsGos(_ vector: Vector) throws {
        #expect(try Decompressor(.gzip).run(vector.stream) == vector.message)
    }

    /// RFC 1952, section 2.3: magic, deflate, no flags, no time, fastest, Unix.
    @Test func headerIsPlain() throws {
        let stream = try Compressor(.gzip).run(Sample.text.bytes(100))
        #expect(stream.starts(with: hex("1f8b 08 00 00000000 04 03")))
    }

    @Test(arguments: [1, 5, Int.max]) func membersAreJoined(_ piece: Int) throws {
        let first = Sample.text.bytes(1000)
        let second = Sample.random.bytes(500)
        let stream = try compress(.gzip, first) + compress(.gzip, []) + compress(.gzip, second)
        #expect(try Decompressor(.gzip).run(stream, piece: piece) == first + second)
    }

    /// Extra field, name, comment and a checksum over the header, as RFC 1952 allows.
    @Test func optionalHeaderFieldsAreRead() throws {
        let header = hex("1f8b 08 1e 00000000 00 03") + hex("0400 41420000") + hex("6e00") + hex("6300")
        let checksum = ieee(header)
        let rest = Self.goOne[10...]
        let stream = header + [UInt8(checksum & 0xFF), UInt8(checksum >> 8 & 0xFF)] + rest
        #expect(try Decompressor(.gzip).run(stream) == Array("a".utf8))
        let damaged = header + [UInt8(checksum & 0xFF) ^ 1, UInt8(checksum >> 8 & 0xFF)] + rest
        #expect(try Decompressor(.gzip).failure(damaged) == .checksumMismatch)
    }

    static let refused = [
        Body("nothing", [], .truncated),
        Body("half a magic number after a member", goOne + [0x1F], .truncated),
        Body("zeros after a member", goOne + [0, 0], .malformed),
        Body("text after a member", goOne + Array("garbage".utf8), .malformed),
        Body("wrong CRC", goOne.dropLast(8) + hex("43beb7e9 01000000"), .checksumMismatch),
        Body("wrong length", goOne.dropLast(4) + hex("02000000"), .checksumMismatch),
        Body("another method", hex("1f8b 07") + goOne[3...], .malformed),
        Body("a reserved flag", hex("1f8b 08 20") + goOne[4...], .malformed),
        Body("zlib's header", hex("789c 4b04 0000 6200 62"), .malformed),
        Body("the reserved block type", goOne[..<10] + hex("07"), .malformed),
    ]

    @Test(arguments: refused) func refuses(_ body: Body) throws {
        let decompressor = Decompressor(.gzip)
        #expect(try decompressor.failure(body.stream) == body.reason)
        #expect(try decompressor.failure(body.stream, piece: 1) == body.reason)
    }

    /// The CRC-32 of RFC 1952, section 8, bit by bit.
    private func ieee(_ bytes: [UInt8]) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 {
                let divides = crc & 1 == 1
                crc >>= 1
                if divides { crc ^= 0xEDB8_8320 }
            }
        }
        return ~crc
    }
}
