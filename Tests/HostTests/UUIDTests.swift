// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

@Suite struct UUIDTests {
    /// The examples of FIPS 180 and of RFC 3174.
    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
        (String(repeating: "a", count: 1_000_000), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
        (String(repeating: "01234567", count: 80), "dea356a2cddd90c7a7ecedc5ebb563934f460452"),
    ])
    func sha1KnownAnswers(_ message: String, _ digest: String) {
        #expect(hexadecimal(SHA1.digest(message.utf8)) == digest)
    }

    /// RFC 9562 appendix A.4, and the namespaces' own OID example of Python's documentation style.
    @Test func version5OfOtherNamespace() throws {
        let dns = try UUID(parsing: "6ba7b810-9dad-11d1-80b4-00c04fd430c8".utf8)
        #expect("\(UUID(name: "www.example.com".utf8, in: dns))" == "2ed6657d-e927-568b-95e1-2665a8aea6a2")
        #expect("\(UUID.objectIdentifiers)" == "6ba7b812-9dad-11d1-80b4-00c04fd430c8")
    }

    @Test(.enabled(if: output(of: "python3", ["-c", ""]) != nil, "python3 is the independent source"))
    func version5EqualsPythons() throws {
        // Every length around the block borders of SHA-1.
        let names = (0...200).map { length -> String in
            let bytes = (0..<length).map { (index: Int) -> UInt8 in UInt8(33 + (index * 7 + length) % 90) }
            return String(decoding: bytes, as: UTF8.self)
        }
        let script = """
            import sys, uuid
            for name in sys.stdin.buffer.read().decode().split("\\n"):
                print(uuid.uuid5(uuid.NAMESPACE_OID, name))
            """
        let listed = try RecordedTree(["/names": names.joined(separator: "\n")])
        let printed = output(of: "sh", ["-c", "exec python3 -c \"$0\" < \"$1\"", script, listed.root + "/names"])
        let expected = try #require(printed).split(separator: "\n").map(String.init)
        #expect(names.map { "\(UUID(name: $0.utf8, in: .objectIdentifiers))" } == expected)
    }

    @Test(arguments: [
        "3d1219c7c4c5404aaa1f6d2a48adfda4", "3D1219C7C4C5404AAA1F6D2A48ADFDA4",
        "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", "{3d1219c7-c4c5-404a-aa1f-6d2a48adfda4}",
        "urn:uuid:3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", "URN:UUID:3D1219C7-C4C5-404A-AA1F-6D2A48ADFDA4",
    ])
    func formsThatAreRead(_ text: String) throws {
        #expect("\(try UUID(parsing: text.utf8))" == "3d1219c7-c4c5-404a-aa1f-6d2a48adfda4")
    }

    @Test(arguments: [
        ("", UUID.ParseError.length), ("3d1219c7", .length), ("3d1219c7-c4c5-404a-aa1f-6d2a48adfda", .length),
        ("xxx:uuid:3d1219c7-c4c5-404a-aa1f-6d2a48adfda4", .length), ("3d1219c7c4c5404aaa1f6d2a48adfdag", .format),
        ("3d1219c7-c4c5-404a-aa1f+6d2a48adfda4", .format), ("3d1219c70c4c50404a0aa1f06d2a48adfda4", .format),
        ("3d1219c7-c4c5-404a-aa1f-6d2a48adfd-4", .format),
        ("\u{e9}\u{e9}\u{e9}\u{e9}c7c4c5404aaa1f6d2a48adfd", .format),
    ])
    func formsThatAreNone(_ text: String, _ error: UUID.ParseError) {
        #expect(throws: error) { try UUID(parsing: text.utf8) }
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
