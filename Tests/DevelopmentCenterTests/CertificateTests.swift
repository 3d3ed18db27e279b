// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import Foundation
import Testing

@Suite
struct CertificateTests {
    private let scratch: Scratch
    private let folder: CertificateFolder

    init() throws {
        scratch = try Scratch()
        folder = CertificateFolder("\(scratch.path)/certs")
        try folder.make()
    }

    @Test(arguments: [
        ("server.crt", "sslserver", "elkeid.com", true), ("server.crt", "sslserver", "localhost", true),
        ("server.crt", "sslserver", "example.com", false), ("server.crt", "sslclient", "elkeid.com", false),
        ("client.crt", "sslclient", "elkeid.com", true), ("client.crt", "sslserver", "elkeid.com", false),
    ])
    func opensslVerifies(_ file: String, _ purpose: String, _ name: String, _ good: Bool) throws {
        let result = try scratch.run(
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            "certs/ca.crt",
            "-purpose",
            purpose,
            "-verify_hostname",
            name,
            "certs/\(file)"
        )
        #expect((result.status == 0) == good, "\(result.output)")
    }

    @Test
    func addressesOfThisHostAreInTheServersCertificate() throws {
        for address in ["127.0.0.1", "::1"] {
            let result = try scratch.run(
                "openssl",
                "verify",
                "-CAfile",
                "certs/ca.crt",
                "-verify_ip",
                address,
                "certs/server.crt"
            )
            #expect(result.status == 0, "\(result.output)")
        }
    }

    @Test(arguments: ["ca", "server", "client"])
    func keysFitAndAreTheOwnersAlone(_ name: String) throws {
        let fromKey = try scratch.run("openssl", "pkey", "-in", "certs/\(name).key", "-pubout")
        let fromCertificate = try scratch.run("openssl", "x509", "-in", "certs/\(name).crt", "-noout", "-pubkey")
        #expect(fromKey.status == 0)
        #expect(fromKey.output == fromCertificate.output)
        let attributes = try FileManager.default.attributesOfItem(atPath: folder.file("\(name).key"))
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let text = try scratch.run("openssl", "x509", "-in", "certs/\(name).crt", "-noout", "-text")
        #expect(text.output.contains("Version: 3"))
        #expect(text.output.contains("CA:TRUE") == (name == "ca"))
    }

    @Test
    func nothingIsOverwritten() throws {
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.file("ca.key")))
        #expect(throws: CenterError.self) { try folder.make() }
        #expect(try folder.makeIfAbsent() == false)
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file("ca.key"))) == before)
    }

    @Test
    func halfOfTheFilesIsAnErrorThatNamesOne() throws {
        try FileManager.default.removeItem(atPath: folder.file("server.key"))
        let error = #expect(throws: CenterError.self) { _ = try folder.makeIfAbsent() }
        #expect(error?.description.contains(folder.file("ca.crt")) == true)
    }
}
