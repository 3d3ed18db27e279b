// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// What a client keeps of a connection so that the next handshake with the same server is shorter: the session ticket
/// (RFC 8446 section 2.2, RFC 5077). Use it for the server that it came from only, and once.
@safe
public final class TLSResumption {
    let handle: OpaquePointer

    /// Takes over one reference.
    init?(owning session: OpaquePointer?) {
        guard let session = unsafe session else { return nil }
        unsafe handle = session
        guard unsafe SSL_SESSION_is_resumable(session) == 1 else { return nil }
    }

    deinit { unsafe SSL_SESSION_free(handle) }
}
