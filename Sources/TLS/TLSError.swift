// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import COpenSSL

/// Why a TLS context or session cannot be used: what, where, and what to do about it.
public struct TLSError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Kinds that callers treat differently; the text says more.
    public enum Kind: Equatable, Sendable {
        /// A certificate or key file is missing or cannot be used.
        case file
        /// The peer's certificate is not acceptable.
        case certificate
        /// The peer refused us with an alert.
        case alert
        /// The peer does not speak TLS at all.
        case notTLS
        /// The peer does not speak HTTP/2 (ALPN).
        case noHTTP2
        /// The peer ended the connection without close_notify while a record was expected.
        case truncated
        case protocolViolation
    }
    /// What is wrong with a certificate.
    public enum Fault: Equatable, Sendable {
        case expired, notYetValid, wrongName, unknownAuthority, other
    }

    public let kind: Kind
    /// Of the kind `certificate`.
    public let fault: Fault?
    public let description: String

    init(_ kind: Kind, _ description: String, fault: Fault? = nil) {
        self.kind = kind
        self.fault = fault
        self.description = description
    }

    /// Takes OpenSSL's error queue, which must be empty before each call, into one value.
    static func fromQueue(_ kind: Kind, _ what: String, remedy: String? = nil) -> TLSError {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            if let text = unsafe ERR_reason_error_string(code) { reasons.append(unsafe String(cString: text)) }
        }
        var unique: [String] = []
        for reason in reasons where !unique.contains(reason) { unique.append(reason) }
        let why = unique.isEmpty ? "" : ": " + unique.joined(separator: ", ")
        return TLSError(kind, what + why + (remedy.map { "; " + $0 } ?? ""))
    }
}
