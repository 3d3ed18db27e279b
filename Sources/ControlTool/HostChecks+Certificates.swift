// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Glibc
import TLS

// The agent's certificate, its key, and the authority.
extension HostChecks {
    /// Before its end a certificate is worth a warning.
    private static let notice: Int64 = 30 * 86_400

    func certificates() -> [Finding] {
        let subject = "certificates"
        let tls = settings.tls
        let files = [tls.ca, tls.certificate, tls.privateKey]
        guard files.allSatisfy({ unsafe access($0, R_OK) == 0 }) else { return [] }
        var findings: [Finding] = []
        for (what, path) in [("authority", tls.ca), ("certificate", tls.certificate)] {
            do throws(TLSError) {
                findings.append(validity(subject, what, path, try TLSCertificate(file: path)))
            } catch {
                findings.append(
                    .bad(subject, what, "certificate_file", "\(error)", "replace it by the one of your deployment")
                )
            }
        }
        do throws(TLSError) {
            _ = try TLSContext(
                role: .client,
                files: .init(authority: tls.ca, certificate: tls.certificate, privateKey: tls.privateKey)
            )
            findings.append(.ok(subject, "key", "fits the certificate"))
        } catch {
            findings.append(
                .bad(subject, "key", "certificate_file", "\(error)", "use the key that belongs to \(tls.certificate)")
            )
        }
        return findings
    }

    private func validity(_ subject: String, _ what: String, _ path: String, _ certificate: TLSCertificate) -> Finding {
        let now = Int64(time_t(Glibc.time(nil)))
        let name = "\(path) (\(certificate.subject))"
        if let begin = certificate.begin, now < begin {
            return .bad(
                subject,
                what,
                "clock",
                "\(name) is valid from \(Format.time(begin)) on, and this host's clock says \(Format.time(now))",
                "set this host's clock; if it is right, wait or replace the certificate"
            )
        }
        guard let end = certificate.end else { return .ok(subject, what, name) }
        if now > end {
            return .bad(
                subject,
                what,
                "certificate_expired",
                "\(name) ended on \(Format.time(end)); this host's clock says \(Format.time(now))",
                "renew it, or set this host's clock if that is wrong"
            )
        }
        if end - now < Self.notice {
            return .warning(subject, what, "certificate_ends", "\(name) ends on \(Format.time(end))", "renew it before")
        }
        return .ok(subject, what, "\(name) until \(Format.date(end))")
    }
}
