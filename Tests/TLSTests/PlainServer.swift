// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import TestSupport
import Testing

/// A TLS server of plain OpenSSL, with memory BIOs: it asks for no client certificate, and knows no HTTP/2.
@safe
final class PlainServer {
    private let context: OpaquePointer
    private let session: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer

    /// With `protocolName` it insists on that in ALPN; with nil it does not know the extension.
    init(offering protocolName: String?) throws {
        unsafe context = try #require(SSL_CTX_new(TLS_server_method()))
        let certificate = try Certificates.path("ordinary", "server.crt")
        let key = try Certificates.path("ordinary", "server.key")
        try #require(unsafe SSL_CTX_use_certificate_chain_file(context, certificate) == 1)
        try #require(unsafe SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
        if protocolName != nil {
            // As servers of HTTP/1.1 alone do when the client offers only "h2" (RFC 7301 section 3.2).
            unsafe SSL_CTX_set_alpn_select_cb(context, { _, _, _, _, _, _ in SSL_TLSEXT_ERR_ALERT_FATAL }, nil)
        }
        unsafe session = try #require(SSL_new(context))
        unsafe input = try #require(BIO_new(BIO_s_mem()))
        unsafe output = try #require(BIO_new(BIO_s_mem()))
        unsafe SSL_set_bio(session, input, output)
        unsafe SSL_set_accept_state(session)
    }

    deinit {
        unsafe SSL_free(session)
        unsafe SSL_CTX_free(context)
    }

    /// Hears `bytes`, and gives what it says to them.
    func answer(_ bytes: [UInt8]) -> [UInt8] {
        _ = unsafe BIO_write(input, bytes, CInt(bytes.count))
        ERR_clear_error()
        _ = unsafe SSL_do_handshake(session)
        ERR_clear_error()
        var answer = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe BIO_read(output, &answer, CInt(answer.count))
        return [UInt8](answer.prefix(max(0, Int(count))))
    }
}
