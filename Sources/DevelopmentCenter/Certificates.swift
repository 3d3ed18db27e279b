// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import Glibc
import Syscalls
public import TLS

/// A folder with a certificate authority, a server's certificate and an agent's, made for development.
///
/// Certificates are X.509 v3 with keys on P-256. The server's and the agent's are for `elkeid.com`, the name that agents
/// expect, and for this host's loopback names. Keys are PKCS#8 without a passphrase, readable by the owner alone.
public struct CertificateFolder: Sendable, Equatable {
    public let path: String

    public init(_ path: String) { self.path = path }

    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// What a server needs.
    public var server: TLSContext.Files {
        TLSContext.Files(
            authority: file("ca.crt"),
            certificate: file("server.crt"),
            privateKey: file("server.key")
        )
    }

    /// What an agent needs.
    public var client: TLSContext.Files {
        TLSContext.Files(
            authority: file("ca.crt"),
            certificate: file("client.crt"),
            privateKey: file("client.key")
        )
    }

    private static let names = ["ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"]

    private var present: [String] { Self.names.filter { unsafe access(file($0), F_OK) == 0 } }

    /// Makes all six files, unless a server's are already there. True when they were made.
    public func makeIfAbsent() throws(CenterError) -> Bool {
        if Set(present).isSuperset(of: ["ca.crt", "server.crt", "server.key"]) { return false }
        try make()
        return true
    }

    /// Makes the folder and all six files in it.
    /// - Throws: `CenterError` when one of them exists: nothing is overwritten.
    public func make() throws(CenterError) {
        if let name = present.first {
            throw CenterError("\(file(name)) exists already; remove it, or give another folder")
        }
        try Folder.make(path, permissions: 0o700)
        let authority = try Certificate.authority(name: "Elkeid development CA")
        let server = try Certificate.issued(by: authority, name: "elkeid.com", purpose: "serverAuth")
        let client = try Certificate.issued(by: authority, name: "elkeid-agent", purpose: "clientAuth")
        for (name, certificate) in [("ca", authority), ("server", server), ("client", client)] {
            try Folder.write(try certificate.key.pem(), to: file("\(name).key"), permissions: 0o600)
            try Folder.write(try certificate.pem(), to: file("\(name).crt"), permissions: 0o644)
        }
    }
}
