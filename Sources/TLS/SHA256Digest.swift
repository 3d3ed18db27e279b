// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
@safe
public final class SHA256Digest {
    private let context: OpaquePointer?

    public init() {
        unsafe context = EVP_MD_CTX_new()
        let ready = unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil)
        precondition(ready == 1, "SHA-256 is not available")
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    public func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { _ = unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
    }

    /// The digest in lower-case hexadecimal; the object starts anew.
    public func finish() -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        _ = unsafe EVP_DigestFinal_ex(context, &bytes, nil)
        _ = unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil)
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
