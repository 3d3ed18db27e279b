// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import Glibc

/// What a certificate says of itself, for those who look for what is wrong with one.
public struct TLSCertificate: Equatable, Sendable {
    /// Distinguished names in one line (RFC 2253).
    public let subject: String
    public let issuer: String
    /// Seconds since 1970; nil when the certificate has no such time.
    public let begin: Int64?
    public let end: Int64?
    /// Names and addresses that it is for (RFC 5280 section 4.2.1.6), such as "DNS:elkeid.com".
    public let alternativeNames: [String]

    init(_ certificate: OpaquePointer) {
        subject = unsafe Self.name(X509_get_subject_name(certificate))
        issuer = unsafe Self.name(X509_get_issuer_name(certificate))
        begin = unsafe Self.time(X509_get0_notBefore(certificate))
        end = unsafe Self.time(X509_get0_notAfter(certificate))
        alternativeNames = unsafe Self.alternativeNames(certificate)
    }

    /// The first certificate of a PEM file.
    ///
    /// - Throws: `TLSError` of kind `file`.
    public init(file path: String) throws(TLSError) {
        ERR_clear_error()
        guard let bio = unsafe BIO_new_file(path, "r") else {
            throw TLSError.fromQueue(.file, "\(path): cannot be read")
        }
        defer { unsafe _ = BIO_free(bio) }
        guard let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) else {
            throw TLSError.fromQueue(.file, "\(path): no certificate in it", remedy: "it must hold PEM certificates")
        }
        defer { unsafe X509_free(certificate) }
        unsafe self.init(certificate)
    }

    private static func time(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        let seconds = unsafe COpenSSL_seconds(time)
        return seconds == .min ? nil : seconds
    }

    private static func text(_ write: (OpaquePointer) -> Void) -> String {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe _ = BIO_free(bio) }
        unsafe write(bio)
        var text: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe BIO_read(bio, &bytes, CInt(bytes.count))
            guard count > 0 else { return String(decoding: text, as: UTF8.self) }
            text += bytes.prefix(Int(count))
        }
    }

    private static func name(_ name: OpaquePointer?) -> String {
        unsafe text { unsafe _ = COpenSSL_print_name($0, name) }
    }

    private static func alternativeNames(_ certificate: OpaquePointer) -> [String] {
        let index = unsafe X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1)
        guard index >= 0, let ext = unsafe X509_get_ext(certificate, index) else { return [] }
        let line = unsafe text { unsafe _ = X509V3_EXT_print($0, ext, 0, 0) }
        return line.split(separator: ",").map { part in String(part.drop { $0 == " " }) }
    }
}
