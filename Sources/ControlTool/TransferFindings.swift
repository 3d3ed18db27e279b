// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Console
import GRPC
import JSON
import Net
import Syscalls
import TLS

/// What a probe of a server means.
struct TransferFindings {
    let subject: String
    let serverName: String
    let certificateFile: String
    /// How many seconds this host's clock is wrong, if that is known and matters.
    let skew: Double?
    /// What the running agent says.
    let agent: JSONValue?

    func findings(_ probe: TransferProbe.Outcome) -> [Finding] {
        guard let version = probe.tlsVersion else { return [handshake(probe)] }
        var findings = [
            Finding.ok(
                subject,
                "TLS",
                "\(version), certificate \(probe.certificate?.subject ?? "?")\(validity(probe.certificate))"
            )
        ]
        guard probe.speaksHTTP2 else { return findings + [silence(probe)] }
        findings.append(.ok(subject, "HTTP/2", "the server speaks it"))
        return findings + [call(probe)]
    }

    private func validity(_ certificate: TLSCertificate?) -> String {
        certificate?.end.map { " until \(Format.date($0))" } ?? ""
    }

    // MARK: TLS

    private func handshake(_ probe: TransferProbe.Outcome) -> Finding {
        guard let end = probe.end else { return bad("TLS", "tls", "no answer", "is this the right port?") }
        switch end {
        case .tls(let error): return refusal(error, probe.certificate)
        case .timeout:
            return bad(
                "TLS",
                "tls_silence",
                "the server takes the connection and says nothing",
                "it hangs or is overloaded, or something between (a proxy, an inspecting firewall) swallows TLS"
            )
        case .peerClosed, .io:
            return bad(
                "TLS",
                "tls_closed",
                "\(end), during the handshake",
                "something between ends TLS (a proxy whose backend is down), or the server is overloaded: look at its log"
            )
        default: return bad("TLS", "tls", "\(end)", "look at the server's log")
        }
    }

    private func refusal(_ error: TLSError, _ certificate: TLSCertificate?) -> Finding {
        switch (error.kind, error.fault) {
        case (.certificate, .expired?):
            if let skew, skew > 0 { return clock(error, skew) }
            return bad(
                "TLS",
                "certificate_expired",
                "the server's certificate\(named(certificate)) ended on \(certificate?.end.map(Format.time) ?? "?")",
                "renew the server's certificate; if that date is still to come, set this host's clock"
            )
        case (.certificate, .notYetValid?):
            if let skew { return clock(error, skew) }
            return bad(
                "TLS",
                "clock",
                "the server's certificate\(named(certificate)) is valid from \(certificate?.begin.map(Format.time) ?? "?") on",
                "this host's clock is behind: set it; if it is right, the certificate is from the future: replace it"
            )
        case (.certificate, .wrongName?):
            let names = certificate?.alternativeNames ?? []
            return bad(
                "TLS",
                "wrong_name",
                "the server's certificate is for \(names.isEmpty ? certificate?.subject ?? "?" : names.joined(separator: ", ")), not for \(serverName)",
                "set `server_name` in [tls] to a name that it has, or give the server a certificate for \(serverName)"
            )
        case (.certificate, .unknownAuthority?):
            return bad(
                "TLS",
                "wrong_ca",
                "\(error)\(certificate.map { " (it is \($0.subject), signed by \($0.issuer))" } ?? "")",
                "put the authority of your deployment's servers into the file that `ca` in [tls] names"
            )
        case (.alert, _): return refusedCertificate("\(error)")
        case (.notTLS, _):
            return bad("TLS", "not_tls", "\(error)", "this port is not the agents' one (6751 by default)")
        case (.noHTTP2, _):
            return bad(
                "ALPN",
                "no_h2",
                "\(error)",
                "let what stands before the server pass TLS through, or let it offer h2"
            )
        case (.truncated, _):
            return bad(
                "TLS",
                "tls_closed",
                "\(error)",
                "something between ends TLS, or the server is overloaded: look at its log"
            )
        default: return bad("TLS", "tls", "\(error)", "look at the server's log")
        }
    }

    private func clock(_ error: TLSError, _ skew: Double) -> Finding {
        bad(
            "TLS",
            "clock",
            "\(error); this host's clock is \(Format.span(abs(skew))) \(skew > 0 ? "ahead" : "behind")",
            "set this host's clock"
        )
    }

    private func named(_ certificate: TLSCertificate?) -> String { certificate.map { " (\($0.subject))" } ?? "" }

    private func refusedCertificate(_ text: String) -> Finding {
        bad(
            "TLS",
            "certificate_refused",
            "the server does not accept this agent's certificate: \(text)",
            "\(certificateFile) must be signed by the authority that the server has, and not be out of date"
        )
    }

    /// With TLS 1.3 a server judges the client's certificate after the client is done.
    private func silence(_ probe: TransferProbe.Outcome) -> Finding {
        if case .tls(let error)? = probe.end, error.kind == .alert { return refusedCertificate("\(error)") }
        let end = probe.end.map { "\($0)" } ?? "no SETTINGS came"
        return bad(
            "HTTP/2",
            "no_http2",
            "TLS works, and then: \(end)",
            "what answers is no gRPC server, or one that closes at once: look at its log"
        )
    }

    // MARK: The call

    private func call(_ probe: TransferProbe.Outcome) -> Finding {
        if let status = probe.status { return judge(status.message, "\(status)", isOK: status.code == .ok) }
        if probe.isTaken { return .ok(subject, "gRPC", "the call Transfer is taken") }
        if let end = probe.end, agent == nil {
            return bad("gRPC", "grpc", "the connection ended during the call: \(end)", "look at the server's log")
        }
        return ofAgent
    }

    /// The agent has the id: a second call under it would be refused. What it has met says as much.
    private var ofAgent: Finding {
        guard let agent else {
            return .note(subject, "gRPC", "no call was made: an agent that does not answer here may have the id there")
        }
        let view = AgentView(agent)
        if view.isConnected {
            return .ok(
                subject,
                "gRPC",
                "the agent's own stream to \(view.text("connection", "endpoint") ?? "?") is open"
            )
        }
        let failure = view.text("connection", "last_failure") ?? view.text("connection", "text") ?? ""
        return judge(failure, "the agent says: \(failure)", isOK: false, isOwn: false)
    }

    private func judge(_ message: String, _ text: String, isOK: Bool, isOwn: Bool = true) -> Finding {
        if message.contains(text: "agentID conflict") {
            return bad(
                "gRPC",
                "id_conflict",
                text,
                "another host has this id (a clone: elkeidctl set --id gives it one of its own), or the server has not noticed yet that this one was gone, which takes it up to 10 minutes"
            )
        }
        if message.contains(text: "max connection limit") {
            return bad(
                "gRPC",
                "server_full",
                text,
                "raise connlimit in the server's svr.yml, or add a server"
            )
        }
        if isOK { return .ok(subject, "gRPC", "the call Transfer is taken, and ended by the server") }
        guard isOwn else { return .note(subject, "gRPC", text) }
        return bad("gRPC", "grpc_status", "the server refuses the call: \(text)", "look at the server's log")
    }

    private func bad(_ step: String, _ cause: String, _ text: String, _ remedy: String) -> Finding {
        .bad(subject, step, cause, text, remedy)
    }
}
