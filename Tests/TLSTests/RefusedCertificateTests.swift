// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import TLS
import TestSupport
import Testing

/// A server's certificate that is not accepted can be looked at all the same.
@Suite("TLS: certificates that were refused")
struct RefusedCertificateTests {
    static let versions = [TLSContext.Version.tls12, .tls13]

    /// The client's set, the server's, and what is wrong.
    static let table: [(client: String, server: String, TLSError.Fault)] = [
        ("ordinary", "expired", .expired), ("ordinary", "not-yet-valid", .notYetValid),
        ("ordinary", "wrong-name", .wrongName),
        ("ordinary", "stranger", .unknownAuthority), ("elkeid", "elkeid-other", .unknownAuthority),
        ("ordinary-ec", "ordinary", .unknownAuthority),
        // With an intermediate authority whose own authority is not known: it is the peer's certificate all the same.
        ("ordinary", "ordinary-ec", .unknownAuthority),
    ]

    @Test(arguments: table.indices, versions)
    func faults(index: Int, version: TLSContext.Version) throws {
        let (ours, theirs, fault) = Self.table[index]
        let (client, server) = try connected(client: ours, server: theirs, version: version)
        #expect(client.error?.kind == .certificate && client.error?.fault == fault && !client.isSecured)
        let shown = try TLSCertificate(file: Certificates.path(theirs, "server.crt"))
        #expect(client.session.peerCertificate == shown)
        #expect(client.session.peerCertificate == shown, "asked again")
        // What was not accepted is that one, or an authority's of its chain.
        let refused = try #require(client.session.refusedCertificate)
        if fault == .unknownAuthority {
            #expect(refused == shown || refused.subject == shown.issuer)
        } else {
            #expect(refused == shown)
        }
        // The server only hears that it was refused.
        #expect(server.error?.kind == .alert && server.error?.fault == nil)
    }

    @Test(arguments: versions)
    func whatWasAccepted(version: TLSContext.Version) throws {
        for set in ["ordinary", "ordinary-ec", "elkeid"] {
            let (client, server) = try connected(client: set, server: set, version: version)
            #expect(client.isSecured && server.isSecured && client.session.refusedCertificate == nil)
            #expect(client.session.peerCertificate == (try TLSCertificate(file: Certificates.path(set, "server.crt"))))
            #expect(server.session.peerCertificate == (try TLSCertificate(file: Certificates.path(set, "client.crt"))))
        }
    }

    /// What is wrong with a client's, as its server says it.
    @Test(arguments: versions, [("expired", .expired), ("not-yet-valid", .notYetValid)] as [(String, TLSError.Fault)])
    func theServersView(version: TLSContext.Version, row: (String, TLSError.Fault)) throws {
        let (client, server) = try connected(client: row.0, server: "ordinary", version: version)
        #expect(server.error?.kind == .certificate && server.error?.fault == row.1)
        #expect(client.error?.kind == .alert && client.error?.fault == nil)
        let (_, other) = try connected(client: "stranger", server: "ordinary", authority: "ordinary", version: version)
        #expect(other.error?.fault == .unknownAuthority)
    }

    @Test func beforeTheHandshakeThereIsNone() throws {
        let client = try End(
            try TLSContext(web: Certificates.path("ordinary", "ca.crt"), authorityKey: "x"),
            serverName: "elkeid.com"
        )
        #expect(client.session.peerCertificate == nil)
        client.receive()
        #expect(client.session.peerCertificate == nil)
        client.receive([UInt8]("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        #expect(client.error?.kind == .notTLS && client.error?.fault == nil && client.session.peerCertificate == nil)
    }

    /// On the way to a web server, whose host is a name or an address.
    @Test(
        arguments: [
            ("elkeid.com", "ordinary", nil), ("other.example", "ordinary", .wrongName),
            ("sub.elkeid.com", "ordinary", .wrongName),
            ("127.0.0.1", "ordinary", .wrongName), ("::1", "ordinary", .wrongName),
            ("elkeid.com", "stranger", .unknownAuthority),
        ] as [(String, String, TLSError.Fault?)]
    )
    func webServers(host: String, authority: String, fault: TLSError.Fault?) throws {
        let context = try TLSContext(web: Certificates.path(authority, "ca.crt"), authorityKey: "`download_ca`")
        let client = try End(context, serverName: host)
        let server = try PlainServer(offering: nil)
        client.receive()
        while client.error == nil && !client.isSecured {
            let bytes = server.answer(client.takeOutgoing())
            try #require(!bytes.isEmpty, "neither has anything to say")
            client.receive(bytes)
        }
        #expect(client.isSecured == (fault == nil) && client.error?.fault == fault)
        #expect(
            client.session.peerCertificate == (try TLSCertificate(file: Certificates.path("ordinary", "server.crt")))
        )
        if fault == .wrongName { #expect(client.error?.description.contains("is not for \(host)") == true) }
    }
}
