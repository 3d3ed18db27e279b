// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import TLS
import TestSupport
import Testing

@Suite("TLS: refusals, one line each")
struct RefusalTests {
    static let versions = [TLSContext.Version.tls12, .tls13]

    /// The client does not trust the server's authority, and says so to the server.
    @Test(arguments: versions, [("ordinary", "stranger"), ("elkeid", "elkeid-other"), ("ordinary-ec", "ordinary")])
    func unknownAuthority(_ version: TLSContext.Version, _ sets: (String, String)) throws {
        let (client, server) = try connected(client: sets.0, server: sets.1, version: version)
        expect(client.error, .certificate, ["the server's certificate", "`ca`", "[tls]"])
        #expect(!client.isSecured && !server.isSecured)
        expect(server.error, .alert, ["refused during handshake"])
    }

    @Test(arguments: versions)
    func wrongName(_ version: TLSContext.Version) throws {
        let (client, server) = try connected(client: "ordinary", server: "wrong-name", version: version)
        expect(client.error, .certificate, ["not for elkeid.com", "`server_name`"])
        #expect(!server.isSecured)
        let (other, _) = try connected(
            client: "ordinary",
            server: "wrong-name",
            serverName: "other.example",
            version: version
        )
        #expect(other.isSecured)
    }

    @Test(arguments: versions, [("expired", "out of date", "renew"), ("not-yet-valid", "not valid yet", "clock")])
    func dates(_ version: TLSContext.Version, _ set: (String, String, String)) throws {
        let (client, server) = try connected(client: "ordinary", server: set.0, version: version)
        expect(client.error, .certificate, ["the server's certificate", set.1, set.2])
        #expect(!server.isSecured && server.error?.kind == .alert)
        // The client's is refused by the server, which tells: within the handshake, or with TLS 1.3 after it.
        let (ours, theirs) = try connected(client: set.0, server: "ordinary", version: version)
        expect(theirs.error, .certificate, ["the client's certificate", set.1])
        expect(ours.error, .alert, ["the peer refused", "[tls] certificate"])
    }

    /// A client of another authority than the server's.
    @Test(arguments: versions)
    func clientOfAnotherAuthority(_ version: TLSContext.Version) throws {
        let (client, server) = try connected(
            client: "stranger",
            server: "ordinary",
            authority: "ordinary",
            version: version
        )
        expect(server.error, .certificate, ["the client's certificate", "was not signed"])
        expect(client.error, .alert, ["the peer refused", "[tls] certificate"])
    }

    @Test func noCommonVersion() throws {
        func files(_ name: String) throws -> TLSContext.Files {
            TLSContext.Files(
                authority: try Certificates.path("ordinary", "ca.crt"),
                certificate: try Certificates.path("ordinary", "\(name).crt"),
                privateKey: try Certificates.path("ordinary", "\(name).key")
            )
        }
        let client = try End(
            try TLSContext(role: .client, files: files("client"), maximum: .tls12),
            serverName: "elkeid.com"
        )
        let server = try End(try TLSContext(role: .server, files: files("server"), minimum: .tls13))
        client.receive()
        converse(client, server)
        #expect(server.error?.kind == .protocolViolation)
        expect(client.error, .alert, ["protocol version"])
    }

    static let plainText: [[UInt8]] = [
        [UInt8]("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".utf8),
        [UInt8]("SSH-2.0-OpenSSH_9.2p1\r\n".utf8),
        [UInt8]("220 mail.example ESMTP\r\n".utf8),
        // What an HTTP/2 server without TLS begins with: SETTINGS.
        hex("00000c 04 00 00000000 000300000064 000400100000"),
    ]

    @Test(arguments: plainText)
    func plainTextPeer(_ bytes: [UInt8]) throws {
        let context = try TLSContext(
            role: .client,
            files: .init(
                authority: try Certificates.path("ordinary", "ca.crt"),
                certificate: try Certificates.path("ordinary", "client.crt"),
                privateKey: try Certificates.path("ordinary", "client.key")
            )
        )
        for piece in [1, bytes.count] {
            let client = try End(context, serverName: "elkeid.com")
            client.receive()
            for start in stride(from: 0, to: bytes.count, by: piece) where client.error == nil {
                client.receive([UInt8](bytes[start..<(start + piece)]))
            }
            expect(client.error, .notTLS, ["does not speak TLS", "port"])
        }
    }

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
    func plainTextClient(_ text: String) throws {
        let (_, other) = try connected(client: "ordinary", server: "ordinary")
        _ = other
        let context = try TLSContext(
            role: .server,
            files: .init(
                authority: try Certificates.path("ordinary", "ca.crt"),
                certificate: try Certificates.path("ordinary", "server.crt"),
                privateKey: try Certificates.path("ordinary", "server.key")
            )
        )
        let server = try End(context)
        server.receive([UInt8](text.utf8))
        expect(server.error, .notTLS, ["does not speak TLS"])
    }

    /// A server that talks TLS, and anything but HTTP/2.
    @Test(arguments: versions, [nil, "http/1.1"] as [String?])
    func peerWithoutHTTP2(_ version: TLSContext.Version, _ offered: String?) throws {
        let client = try End(
            try TLSContext(
                role: .client,
                files: .init(
                    authority: try Certificates.path("ordinary", "ca.crt"),
                    certificate: try Certificates.path("ordinary", "client.crt"),
                    privateKey: try Certificates.path("ordinary", "client.key")
                ),
                minimum: version,
                maximum: version
            ),
            serverName: "elkeid.com"
        )
        let server = try PlainServer(offering: offered)
        client.receive()
        while client.error == nil {
            let bytes = server.answer(client.takeOutgoing())
            try #require(!bytes.isEmpty, "neither has anything to say")
            client.receive(bytes)
        }
        expect(client.error, .noHTTP2, ["HTTP/2", "ALPN h2", "gRPC"])
        #expect(!client.isSecured)
    }

    // MARK: Files

    func refusal(
        _ authority: String,
        _ certificate: String,
        _ key: String,
        role: TLSContext.Role = .client
    ) -> TLSError? {
        do throws(TLSError) {
            _ = try TLSContext(
                role: role,
                files: .init(authority: authority, certificate: certificate, privateKey: key)
            )
            return nil
        } catch {
            return error
        }
    }

    @Test func filesAreNamed() throws {
        let authority = try Certificates.path("ordinary", "ca.crt")
        let certificate = try Certificates.path("ordinary", "client.crt")
        let key = try Certificates.path("ordinary", "client.key")
        let other = try Certificates.path("ordinary", "server.key")
        let ec = try Certificates.path("ordinary-ec", "client.key")
        let garbage = try Certificates.write(
            "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
            as: "garbage.pem"
        )
        let empty = try Certificates.write("", as: "empty.pem")
        #expect(refusal(authority, certificate, key) == nil)
        let missing = "/no/such/file.pem"
        expect(refusal(missing, certificate, key), .file, [missing, "No such file", "`ca`"])
        expect(refusal(authority, missing, key), .file, [missing, "No such file", "`certificate`"])
        expect(refusal(authority, certificate, missing), .file, [missing, "No such file", "`private_key`"])
        for bad in [garbage, empty, key] {
            expect(refusal(bad, certificate, key), .file, [bad, "no certificate authority in it", "PEM"])
            expect(refusal(authority, bad, key), .file, [bad, "no usable certificate in it", "PEM"])
        }
        for bad in [garbage, empty, certificate] {
            expect(refusal(authority, certificate, bad), .file, [bad, "no usable private key in it", certificate])
        }
        for bad in [other, ec] { expect(refusal(authority, certificate, bad), .file, [bad, certificate, "key"]) }
        // What failed before does not colour what comes after.
        #expect(refusal(authority, certificate, key) == nil)
        let (client, _) = try connected(client: "ordinary", server: "ordinary")
        #expect(client.isSecured)
    }
}
