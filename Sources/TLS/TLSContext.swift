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

    private static let initialised: Bool = {
        let options = UInt64(OPENSSL_INIT_NO_LOAD_CONFIG)
        return OPENSSL_init_ssl(options, nil) == 1
    }()

    /// - Throws: `TLSError` of kind `file` that names the file and what is wrong with it.
    public init(role: Role, files: Files, minimum: Version = .tls12, maximum: Version = .tls13) throws(TLSError) {
        precondition(TLSContext.initialised, "OpenSSL cannot be initialised")
        ERR_clear_error()
        self.role = role
        let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
        guard let context = unsafe SSL_CTX_new(method) else {
            throw TLSError.fromQueue(.protocolViolation, "no TLS context can be made")
        }
        unsafe handle = context
        _ = unsafe COpenSSL_set_min_version(context, minimum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION)
        _ = unsafe COpenSSL_set_max_version(context, maximum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION)
        _ = unsafe SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20")
        unsafe COpenSSL_forbid_renegotiation(context)
        _ = unsafe COpenSSL_set_mode(
            context,
            Int(SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
        )
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

    deinit { unsafe SSL_CTX_free(handle) }

    private func load(_ files: Files) throws(TLSError) {
        for (key, path) in [
            ("ca", files.authority), ("certificate", files.certificate), ("private_key", files.privateKey),
        ] {
            if unsafe access(path, R_OK) != 0 {
                let reason = unsafe String(cString: strerror(errno))
                throw TLSError(
                    .file,
                    "\(path): \(reason); put the file there, or set `\(key)` in section [tls]"
                )
            }
        }
        guard unsafe SSL_CTX_load_verify_file(handle, files.authority) == 1 else {
            throw .fromQueue(
                .file,
                "\(files.authority): no certificate authority in it",
                remedy: "it must hold PEM certificates"
            )
        }
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
