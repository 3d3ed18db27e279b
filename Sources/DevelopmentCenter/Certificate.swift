// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// An X.509 certificate (RFC 5280) together with its private key.
@safe
final class Certificate {
    /// Ten years: nobody should have to think of a development certificate again.
    static let days: Int32 = 3650
    /// For clocks that are a little behind.
    static let backdate = -3600

    let key: PrivateKey
    private let handle: OpaquePointer

    private init(key: PrivateKey) throws(CenterError) {
        self.key = key
        guard let handle = unsafe X509_new() else { throw CenterError("no memory for a certificate") }
        unsafe self.handle = handle
    }

    deinit { unsafe X509_free(handle) }

    /// A certificate authority, signed by itself.
    static func authority(name: String) throws(CenterError) -> Certificate {
        let result = try Certificate(key: PrivateKey())
        try result.fill(
            name: name,
            issuer: result,
            extensions: [
                (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                (NID_key_usage, "critical,keyCertSign,cRLSign"),
                (NID_subject_key_identifier, "hash"), (NID_authority_key_identifier, "keyid:always"),
            ]
        )
        return result
    }

    /// A certificate for one end of a connection; `purpose` is an extended key usage.
    static func issued(by authority: Certificate, name: String, purpose: String) throws(CenterError) -> Certificate {
        let result = try Certificate(key: PrivateKey())
        try result.fill(
            name: name,
            issuer: authority,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, purpose),
                (NID_subject_alt_name, "DNS:elkeid.com,DNS:localhost,IP:127.0.0.1,IP:::1"),
                (NID_subject_key_identifier, "hash"), (NID_authority_key_identifier, "keyid:always"),
            ]
        )
        return result
    }

    private func fill(name: String, issuer: Certificate, extensions: [(CInt, String)]) throws(CenterError) {
        let subject = unsafe X509_get_subject_name(handle)
        let text = Array(name.utf8)
        guard unsafe X509_set_version(handle, 2) == 1,
            unsafe X509_gmtime_adj(X509_getm_notBefore(handle), Self.backdate) != nil,
            unsafe X509_time_adj_ex(X509_getm_notAfter(handle), Self.days, 0, nil) != nil,
            unsafe X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, CInt(text.count), -1, 0) == 1,
            unsafe X509_set_issuer_name(handle, X509_get_subject_name(issuer.handle)) == 1,
            unsafe X509_set_pubkey(handle, key.handle) == 1
        else { throw CenterError("a certificate for \(name) cannot be made") }
        try setSerialNumber()
        for (identifier, value) in extensions { try add(identifier, value, issuer: issuer) }
        guard unsafe X509_sign(handle, issuer.key.handle, EVP_sha256()) > 0 else {
            throw CenterError("the certificate for \(name) cannot be signed")
        }
    }

    /// Random, so that two runs never make two certificates of one issuer name and number.
    private func setSerialNumber() throws(CenterError) {
        let number = unsafe BN_new()
        defer { unsafe BN_free(number) }
        guard unsafe BN_rand(number, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1,
            unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(handle)) != nil
        else { throw CenterError("no random serial number") }
    }

    private func add(_ identifier: CInt, _ value: String, issuer: Certificate) throws(CenterError) {
        var context = unsafe X509V3_CTX()
        unsafe X509V3_set_ctx(&context, issuer.handle, handle, nil, nil, 0)
        guard let made = unsafe X509V3_EXT_conf_nid(nil, &context, identifier, value) else {
            throw CenterError("the certificate extension \"\(value)\" cannot be made")
        }
        defer { unsafe X509_EXTENSION_free(made) }
        guard unsafe X509_add_ext(handle, made, -1) == 1 else {
            throw CenterError("the certificate extension \"\(value)\" cannot be added")
        }
    }

    func pem() throws(CenterError) -> [UInt8] {
        unsafe try MemoryBIO.text { bio in unsafe PEM_write_bio_X509(bio, handle) == 1 }
    }
}

/// A private key on the curve P-256.
@safe
final class PrivateKey {
    let handle: OpaquePointer

    init() throws(CenterError) {
        let context = unsafe EVP_PKEY_CTX_new_from_name(nil, "EC", nil)
        defer { unsafe EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        guard unsafe EVP_PKEY_keygen_init(context) == 1, unsafe EVP_PKEY_CTX_set_group_name(context, "P-256") == 1,
            unsafe EVP_PKEY_generate(context, &key) == 1, let key = unsafe key
        else { throw CenterError("no private key can be made") }
        unsafe handle = key
    }

    deinit { unsafe EVP_PKEY_free(handle) }

    /// PKCS#8 without encryption.
    func pem() throws(CenterError) -> [UInt8] {
        unsafe try MemoryBIO.text { bio in
            unsafe PEM_write_bio_PKCS8PrivateKey(bio, handle, nil, nil, 0, nil, nil) == 1
        }
    }
}

/// What OpenSSL writes, in an array.
@safe
private enum MemoryBIO {
    static func text(_ write: (OpaquePointer) -> Bool) throws(CenterError) -> [UInt8] {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { throw CenterError("no memory for a certificate") }
        defer { unsafe BIO_free_all(bio) }
        guard unsafe write(bio) else { throw CenterError("a certificate or key cannot be written") }
        var text = [UInt8](repeating: 0, count: 16384)
        let count = unsafe BIO_read(bio, &text, CInt(text.count))
        guard count > 0 else { throw CenterError("a certificate or key cannot be written") }
        return Array(text[..<Int(count)])
    }
}
