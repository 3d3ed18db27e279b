// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TLS
import TestSupport
import Testing

@Suite("TLS: what certificates say of themselves")
struct CertificateTests {
    static let year2020: Int64 = 1_577_836_800
    static let year2021: Int64 = 1_609_459_200
    static let year2089: Int64 = 3_755_376_000
    static let year2090: Int64 = 3_786_912_000
    static let year2091: Int64 = 3_818_448_000

    struct Row: Sendable, CustomTestStringConvertible {
        var set: String
        var file: String
        var subject: String
        var issuer: String
        var begin: Int64
        var end: Int64
        var names: [String]
        var testDescription: String { "\(set)/\(file)" }
    }

    static let table: [Row] = [
        Row(
            set: "ordinary",
            file: "server.crt",
            subject: "CN=server for elkeid.com,O=Test",
            issuer: "CN=Test Authority,O=Test",
            begin: year2020,
            end: year2089,
            names: ["DNS:elkeid.com"]
        ),
        Row(
            set: "wrong-name",
            file: "server.crt",
            subject: "CN=server for other.example,O=Test",
            issuer: "CN=Test Authority,O=Test",
            begin: year2020,
            end: year2089,
            names: ["DNS:other.example"]
        ),
        Row(
            set: "expired",
            file: "client.crt",
            subject: "CN=client for elkeid.com,O=Test",
            issuer: "CN=Test Authority,O=Test",
            begin: year2020,
            end: year2021,
            names: ["DNS:elkeid.com"]
        ),
        // Beyond 2049 a time has another form (RFC 5280 section 4.1.2.5).
        Row(
            set: "not-yet-valid",
            file: "server.crt",
            subject: "CN=server for elkeid.com,O=Test",
            issuer: "CN=Test Authority,O=Test",
            begin: year2090,
            end: year2091,
            names: ["DNS:elkeid.com"]
        ),
        // The first of a chain.
        Row(
            set: "ordinary-ec",
            file: "server.crt",
            subject: "CN=server for elkeid.com,O=Test",
            issuer: "CN=ca for intermediates,O=Test",
            begin: year2020,
            end: year2089,
            names: ["DNS:elkeid.com"]
        ),
    ]

    @Test(arguments: table)
    func files(row: Row) throws {
        let certificate = try TLSCertificate(file: Certificates.path(row.set, row.file))
        #expect(certificate.subject == row.subject && certificate.issuer == row.issuer)
        #expect(certificate.begin == row.begin && certificate.end == row.end)
        #expect(certificate.alternativeNames == row.names)
    }

    @Test func authorities() throws {
        let ordinary = try TLSCertificate(file: Certificates.path("ordinary", "ca.crt"))
        #expect(ordinary.subject == "CN=Test Authority,O=Test" && ordinary.issuer == ordinary.subject)
        #expect(ordinary.alternativeNames == [])
        // X.509 version 1, as Elkeid ships it.
        let elkeid = try TLSCertificate(file: Certificates.path("elkeid", "ca.crt"))
        #expect(elkeid.subject == "CN=elkeid@elkeid.com,O=hids-svr,L=China,C=GB" && elkeid.alternativeNames == [])
        let (begin, end) = (try #require(elkeid.begin), try #require(elkeid.end))
        #expect(end - begin == 36_500 * 86_400)
        // It was made a moment ago.
        #expect(abs(begin - Int64(Date.now.timeIntervalSince1970)) < 3600)
        #expect(try TLSCertificate(file: Certificates.path("elkeid", "ca.crt")) == elkeid && elkeid != ordinary)
    }

    /// A certificate of the test's own, made by openssl(1).
    func made(_ subject: String, _ names: String) throws -> TLSCertificate {
        let path = try Certificates.write("", as: "own-\(UUID().uuidString).pem")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8",
                "-keyout", "/dev/null", "-out", path, "-days", "1", "-subj", subject,
            ] + (names.isEmpty ? [] : ["-addext", "subjectAltName=\(names)"])
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return try TLSCertificate(file: path)
    }

    @Test func namesOfAllKinds() throws {
        let certificate = try made(
            "/CN=Größe/O=a, b",
            "DNS:a.example,DNS:*.b.example,IP:192.0.2.1,IP:2001:db8::1,email:x@example.com,URI:https://a.example/x"
        )
        #expect(certificate.subject == #"O=a\, b,CN=Größe"# && certificate.issuer == certificate.subject)
        #expect(
            certificate.alternativeNames == [
                "DNS:a.example", "DNS:*.b.example", "IP Address:192.0.2.1", "IP Address:2001:DB8:0:0:0:0:0:1",
                "email:x@example.com", "URI:https://a.example/x",
            ]
        )
    }

    /// What a stranger has put into a name stays in its line.
    @Test func controlCharacters() throws {
        let certificate = try made("/CN=a\nb\u{1b}[31m", "")
        #expect(!certificate.subject.unicodeScalars.contains { $0.value < 0x20 })
        #expect(certificate.subject.contains("a") && certificate.alternativeNames == [])
    }

    /// Hosts behind one address may share a certificate by the hundred: each name is whole.
    @Test func manyNames() throws {
        let names = (1...300).map { "DNS:host-\($0).department.example.com" }
        #expect(try made("/CN=many", names.joined(separator: ",")).alternativeNames == names)
    }

    @Test func filesWithoutACertificate() throws {
        let garbage = try Certificates.write(
            "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
            as: "no-certificate.pem"
        )
        let empty = try Certificates.write("", as: "nothing.pem")
        let paths = [garbage, empty, try Certificates.path("ordinary", "server.key"), "/no/such/file.pem", "/", ""]
        for path in paths {
            do throws(TLSError) {
                _ = try TLSCertificate(file: path)
                Issue.record("\(path) has a certificate")
            } catch {
                #expect(error.kind == .file && error.fault == nil && error.description.hasPrefix(path))
                #expect(!error.description.contains("\n"))
            }
        }
        // What failed before does not matter to what comes after.
        #expect(throws: Never.self) { _ = try TLSCertificate(file: Certificates.path("ordinary", "ca.crt")) }
    }
}
