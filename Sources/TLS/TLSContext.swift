// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import Glibc

/// Certificates, trust and protocol choices, shared by the sessions made from it (SSL_CTX).
///
/// TLS 1.2 and 1.3, forward-secret AEAD suites only, HTTP/2 by ALPN, the peer's certificate always required. The
/// host's openssl.cnf is never read: the same agent behaves the same on every host.
@safe
public final class TLSContext {
    public enum Role: Sendable { case client, server }

    /// Where the PEM files are. A key may be PKCS#1 or PKCS#8.
    public struct Files: Equatable, Sendable {
        public var authority: String
        public var certificate: String
        public var privateKey: String
        public init(authority: String, certificate: String, privateKey: String) {
            self.authority = authority
            self.certificate = certificate
            self.privateKey = privateKey
        }
    }

    public enum Version: Sendable { case tls12, tls13 }

    /// "OpenSSL 3.0.15 3 Sep 2024".
    public static var libraryVersion: String { unsafe String(cString: OpenSSL_version(OPENSSL_VERSION)) }

    let handle: OpaquePointer
    public let role: Role
    /// Must the peer speak HTTP/2, and are hosts named to it (SNI)? Not on the way to a web server.
    let isForWeb: Bool
    /// The key in the configuration that says whom to trust, for messages.
    let authorityKey: String

    private static let initialised: Bool = {
        let options = UInt64(OPENSSL_INIT_NO_LOAD_CONFIG)
        return OPENSSL_init_ssl(options, nil) == 1
    }()

    /// - Throws: `TLSError` of kind `file` that names the file and what is wrong with it.
    public init(role: Role, files: Files, minimum: Version = .tls12, maximum: Version = .tls13) throws(TLSError) {
        let context = try unsafe Self.makeHandle(role, minimum: minimum, maximum: maximum)
        unsafe handle = context
        self.role = role
        isForWeb = false
        authorityKey = "`ca` in section [tls]"
        try load(files)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        switch role {
        case .client:
            let protocols: [UInt8] = [2, 0x68, 0x32]
            _ = unsafe SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count))
        case .server:
            unsafe COpenSSL_serve_h2(context)
        }
    }

    /// For connections to web servers, HTTP/1.1 over TLS, whose certificates one of the authorities in a PEM file has
    /// signed.
    ///
    /// - Parameter authorityKey: how to name the setting that leads to `authorities` in messages.
    /// - Throws: `TLSError` of kind `file`.
    public init(web authorities: String, authorityKey: String) throws(TLSError) {
        let context = try unsafe Self.makeHandle(.client, minimum: .tls12, maximum: .tls13)
        unsafe handle = context
        role = .client
        isForWeb = true
        self.authorityKey = authorityKey
        try loadAuthority(authorities)
        unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    }

    /// Where distributions keep the authorities that the host trusts, as Go's crypto/x509 looks for them: this program is
    /// linked statically, and what was compiled into its OpenSSL is one distribution's place.
    public static let systemAuthorities = [
        "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
    ]

    private static func makeHandle(
        _ role: Role,
        minimum: Version,
        maximum: Version
    ) throws(TLSError) -> OpaquePointer {
        precondition(TLSContext.initialised, "OpenSSL cannot be initialised")
        ERR_clear_error()
        let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
        guard let context = unsafe SSL_CTX_new(method) else {
            throw TLSError.fromQueue(.protocolViolation, "no TLS context can be made")
        }
        _ = unsafe COpenSSL_set_min_version(context, minimum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION)
        _ = unsafe COpenSSL_set_max_version(context, maximum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION)
        _ = unsafe SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20")
        unsafe COpenSSL_forbid_renegotiation(context)
        _ = unsafe COpenSSL_set_mode(
            context,
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
        )
        return unsafe context
    }

    deinit { unsafe SSL_CTX_free(handle) }

    private func requireReadable(_ path: String, _ key: String) throws(TLSError) {
        if unsafe access(path, R_OK) != 0 {
            let reason = unsafe String(cString: strerror(errno))
            throw TLSError(.file, "\(path): \(reason); put the file there, or set \(key)")
        }
    }

    private func loadAuthority(_ path: String) throws(TLSError) {
        try requireReadable(path, authorityKey)
        guard unsafe SSL_CTX_load_verify_file(handle, path) == 1 else {
            throw .fromQueue(
                .file,
                "\(path): no certificate authority in it",
                remedy: "it must hold PEM certificates"
            )
        }
    }

    private func load(_ files: Files) throws(TLSError) {
        for (key, path) in [
            (authorityKey, files.authority), ("`certificate` in section [tls]", files.certificate),
            ("`private_key` in section [tls]", files.privateKey),
        ] { try requireReadable(path, key) }
        try loadAuthority(files.authority)
        guard unsafe SSL_CTX_use_certificate_chain_file(handle, files.certificate) == 1 else {
            throw .fromQueue(
                .file,
                "\(files.certificate): no usable certificate in it",
                remedy: "it must hold a PEM certificate"
            )
        }
        guard unsafe SSL_CTX_use_PrivateKey_file(handle, files.privateKey, SSL_FILETYPE_PEM) == 1 else {
            throw .fromQueue(
                .file,
                "\(files.privateKey): no usable private key in it",
                remedy: "it must hold the PEM key of \(files.certificate), without a passphrase"
            )
        }
        guard unsafe SSL_CTX_check_private_key(handle) == 1 else {
            throw .fromQueue(.file, "\(files.privateKey) is not the key of \(files.certificate)")
        }
    }
}
