// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// What a call on a session came to.
public enum TLSResult: Equatable, Sendable {
    /// Bytes of plaintext moved; for the handshake 0 when it is complete.
    case bytes(Int)
    /// More ciphertext of the peer is needed first.
    case needsInput
    /// The peer said that it is done (close_notify).
    case closed
    case failed(TLSError)
}

/// One TLS connection over buffers: it knows neither sockets nor the loop.
///
/// Order of use: `receive` ciphertext while calling `handshake` or `read` inside it; `write` plaintext while
/// `canWrite`; send `outgoing` to the socket after every call, since the handshake and alerts produce bytes too.
@safe
public final class TLSSession {
    /// A record holds at most this much plaintext (RFC 8446 section 5.1).
    public static let recordSize = 16384
    /// Room that one written record may need: its payload, header, content type, tag, and a bit.
    static let recordRoom = recordSize + 512
    /// Ciphertext gathered for one write to the kernel, and for one awakening of the peer on the same host: half of it
    /// costs a fifth more for each byte (docs/performance.md).
    public static let gatherSize = 256 << 10

    private let handle: OpaquePointer
    private let buffers: BIOBuffers
    private let context: TLSContext
    private let serverName: String?

    /// - Parameters:
    ///   - serverName: the DNS name that the server's certificate must bear, whatever address was dialled.
    ///   - resumption: of an earlier connection of this context to the same server; the server may decline.
    public init(
        _ context: TLSContext,
        serverName: String? = nil,
        resumption: TLSResumption? = nil
    ) throws(TLSError) {
        ERR_clear_error()
        self.context = context
        self.serverName = serverName
        buffers = BIOBuffers(capacity: TLSSession.gatherSize + 2 * TLSSession.recordRoom)
        guard let ssl = unsafe SSL_new(context.handle) else {
            throw TLSError.fromQueue(.protocolViolation, "no TLS session can be made")
        }
        unsafe handle = ssl
        guard let bio = unsafe CiphertextBIO.make(buffers) else {
            throw TLSError.fromQueue(.protocolViolation, "no TLS session can be made")
        }
        unsafe SSL_set_bio(ssl, bio, bio)
        switch context.role {
        case .client:
            unsafe SSL_set_connect_state(ssl)
            unsafe COpenSSL_remember_refused(ssl)
            if let serverName {
                if !context.isForWeb {
                    _ = unsafe COpenSSL_set_host(ssl, serverName)
                } else if unsafe COpenSSL_set_web_host(ssl, serverName) != 1 {
                    throw TLSError.fromQueue(.certificate, "\(serverName) cannot be the name in a certificate")
                }
            }
            if let resumption { _ = unsafe SSL_set_session(ssl, resumption.handle) }
        case .server:
            unsafe SSL_set_accept_state(ssl)
        }
    }

    // The session is freed before the buffers that its BIO points to: they are released after this body.
    deinit {
        // A connection that broke off is no reason to distrust its ticket, as OpenSSL would have it.
        unsafe SSL_set_shutdown(handle, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        unsafe COpenSSL_forget_refused(handle)
        unsafe SSL_free(handle)
    }

    /// For the next connection to the same server, when this one has brought a ticket.
    public var resumption: TLSResumption? {
        isHandshakeComplete ? unsafe TLSResumption(owning: SSL_get1_session(handle)) : nil
    }

    /// Did the server go on with an earlier connection's session?
    public var isResumed: Bool { unsafe SSL_session_reused(handle) == 1 }

    /// Ciphertext for the socket.
    public var outgoing: CiphertextQueue { buffers.outgoing }

    /// Lends ciphertext from the socket to `body`, in which `handshake` and `read` must be called until they need
    /// more input; then all of it has been taken.
    public func receive<R>(_ ciphertext: RawSpan, _ body: () -> R) -> R { buffers.lending(ciphertext, body) }

    /// Goes on with the handshake. `bytes(0)` when it is complete and the peer's certificate, name and protocol are
    /// right.
    public func handshake() -> TLSResult {
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(handle)
        guard result == 1 else { return outcome(result, during: "handshake") }
        guard context.isForWeb || selectedProtocol == "h2" else {
            return .failed(
                TLSError(
                    .noHTTP2,
                    "the peer did not choose HTTP/2 (ALPN h2); it is not a gRPC server, or something between does not pass it on"
                )
            )
        }
        return .bytes(0)
    }

    public var isHandshakeComplete: Bool { unsafe SSL_is_init_finished(handle) == 1 }

    /// Decrypts into the free part of `output`.
    public func read(into output: inout OutputRawSpan) -> TLSResult {
        ERR_clear_error()
        let session = unsafe handle
        var count = 0
        let result = unsafe output.withUnsafeMutableBytes { buffer, initialized -> CInt in
            let free = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[initialized...])
            let result = unsafe SSL_read_ex(session, free.baseAddress, free.count, &count)
            if result == 1 { initialized += count }
            return result
        }
        return result == 1 ? .bytes(count) : outcome(result, during: "reading")
    }

    /// May another record be written? No when the ciphertext queue has gathered enough for a write.
    public var canWrite: Bool {
        outgoing.count < TLSSession.gatherSize && outgoing.room >= TLSSession.recordRoom
    }

    /// Encrypts `plaintext`, at most one record of it, which is taken whole: there is always room when `canWrite`.
    public func write(_ plaintext: RawSpan) -> TLSResult {
        precondition(plaintext.byteCount <= TLSSession.recordSize, "more than one TLS record at once")
        guard plaintext.byteCount > 0 else { return .bytes(0) }
        // Errors of others are not cleared first: with room for the record there is no way to fail that could be mistaken.
        var count = 0
        let result = unsafe plaintext.withUnsafeBytes { unsafe SSL_write_ex(handle, $0.baseAddress, $0.count, &count) }
        guard result == 1 else { return outcome(result, during: "writing") }
        return .bytes(count)
    }

    /// Says that nothing more will be written (close_notify); the ciphertext must still be sent.
    public func close() {
        ERR_clear_error()
        _ = unsafe SSL_shutdown(handle)
        ERR_clear_error()
    }

    /// "TLSv1.3", "TLSv1.2".
    public var version: String { unsafe String(cString: SSL_get_version(handle)) }

    /// "TLS_AES_256_GCM_SHA384".
    public var cipher: String { unsafe String(cString: COpenSSL_cipher(handle)) }

    /// The peer's own certificate, when it has shown one; also one that was not accepted.
    public var peerCertificate: TLSCertificate? {
        if let refused = unsafe COpenSSL_refused_peer(handle) { return unsafe TLSCertificate(refused) }
        guard let certificate = unsafe SSL_get1_peer_certificate(handle) else { return nil }
        defer { unsafe X509_free(certificate) }
        return unsafe TLSCertificate(certificate)
    }

    /// Of the peer's chain the certificate that was not accepted: its own, or an authority's.
    public var refusedCertificate: TLSCertificate? {
        unsafe COpenSSL_refused(handle).map { unsafe TLSCertificate($0) }
    }

    private var selectedProtocol: String {
        var bytes: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(handle, &bytes, &count)
        guard let bytes = unsafe bytes else { return "" }
        return unsafe String(decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
    }

    private func outcome(_ result: CInt, during phase: String) -> TLSResult {
        switch unsafe SSL_get_error(handle, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: return .failed(failure(during: phase))
        }
    }

    private func failure(during phase: String) -> TLSError {
        let verification = unsafe SSL_get_verify_result(handle)
        if verification != Int(X509_V_OK) && !isHandshakeComplete {
            ERR_clear_error()
            return TLSError(.certificate, describe(verification), fault: fault(verification))
        }
        let code = ERR_peek_error()
        let reason = COpenSSL_err_reason(code)
        if COpenSSL_err_library(code) == ERR_LIB_SSL {
            // Alerts of the peer have the reason 1000 + the alert (RFC 8446 section 6).
            if reason == 1000 + TLS1_AD_NO_APPLICATION_PROTOCOL {
                return .fromQueue(.noHTTP2, "the peer does not offer HTTP/2 (ALPN h2); it is not a gRPC server")
            }
            if reason >= 1000 {
                return .fromQueue(
                    .alert,
                    "the peer refused during \(phase)",
                    remedy: "look at its log; for a certificate alert, is [tls] certificate signed by its authority?"
                )
            }
            if reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST {
                return .fromQueue(.notTLS, "the peer does not speak TLS", remedy: "is this the right port?")
            }
            if reason == SSL_R_UNEXPECTED_EOF_WHILE_READING {
                return .fromQueue(.truncated, "the peer closed during \(phase)")
            }
        }
        return .fromQueue(.protocolViolation, "TLS failed during \(phase)")
    }

    private func fault(_ verification: Int) -> TLSError.Fault {
        switch CInt(truncatingIfNeeded: verification) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: .wrongName
        case X509_V_ERR_CERT_HAS_EXPIRED: .expired
        case X509_V_ERR_CERT_NOT_YET_VALID: .notYetValid
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
            X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE:
            .unknownAuthority
        default: .other
        }
    }

    private func describe(_ verification: Int) -> String {
        let text = unsafe String(cString: X509_verify_cert_error_string(verification))
        let who = context.role == .client ? "the server's certificate" : "the client's certificate"
        switch CInt(truncatingIfNeeded: verification) {
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            let remedy = context.isForWeb ? "" : "; set `server_name` in section [tls]"
            return "\(who) is not for \(serverName ?? "the expected name"): \(text)\(remedy)"
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return "\(who) is out of date: \(text); renew it, or set the clock of this host"
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return "\(who) is not valid yet: \(text); is the clock of this host right?"
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
            X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE:
            return "\(who) was not signed by the configured authority: \(text); set \(context.authorityKey)"
        default:
            return "\(who) was refused: \(text)"
        }
    }
}
