// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import TLS
import TestSupport
import Testing

/// One end of a connection without a socket: what it says is collected, what it hears is kept.
final class End {
    let session: TLSSession
    private(set) var isSecured = false
    private(set) var isClosed = false
    private(set) var error: TLSError?
    private(set) var plaintext: [UInt8] = []

    init(_ context: TLSContext, serverName: String? = nil) throws {
        session = try TLSSession(context, serverName: serverName)
    }

    /// Starts a handshake, or hears the peer's bytes.
    func receive(_ bytes: [UInt8] = []) { bytes.withBytes { span in session.receive(span) { advance() } } }

    private func advance() {
        if !isSecured && error == nil {
            switch session.handshake() {
            case .bytes: isSecured = true
            case .needsInput: return
            case .closed: isClosed = true
            case .failed(let error): self.error = error
            }
        }
        while isSecured && !isClosed && error == nil {
            let (result, bytes) = collecting(TLSSession.recordSize) { session.read(into: &$0) }
            plaintext += bytes
            switch result {
            case .bytes: continue
            case .needsInput: return
            case .closed: isClosed = true
            case .failed(let error): self.error = error
            }
        }
    }

    /// Takes up to `limit` bytes of what is to be sent, as a socket would.
    func takeOutgoing(_ limit: Int = .max) -> [UInt8] {
        let bytes = session.outgoing.withBytes { [UInt8](copying: $0.extracting(first: limit)) }
        session.outgoing.removeFirst(bytes.count)
        return bytes
    }

    /// Writes at most one record.
    func write(_ bytes: ArraySlice<UInt8>) -> TLSResult { [UInt8](bytes).withBytes { session.write($0) } }
}

/// Moves bytes between the two, in pieces of `piece` bytes, until neither has any.
func converse(_ client: End, _ server: End, piece: Int = .max) {
    var isQuiet = false
    while !isQuiet {
        isQuiet = true
        for (from, to) in [(client, server), (server, client)] {
            let bytes = from.takeOutgoing()
            if bytes.isEmpty { continue }
            isQuiet = false
            var at = 0
            while at < bytes.count {
                let end = min(bytes.count, at + min(piece, bytes.count))
                to.receive([UInt8](bytes[at..<end]))
                at = end
            }
        }
    }
}

/// A client and a server of certificate sets, after as much of a handshake as they come to.
func connected(
    client: String,
    server: String,
    authority: String? = nil,
    serverName: String = "elkeid.com",
    version: TLSContext.Version? = nil,
    piece: Int = .max
) throws -> (client: End, server: End) {
    let lowest = version ?? .tls12
    let highest = version ?? .tls13
    let ours = TLSContext.Files(
        authority: try Certificates.path(authority ?? client, "ca.crt"),
        certificate: try Certificates.path(client, "client.crt"),
        privateKey: try Certificates.path(client, "client.key")
    )
    let theirs = TLSContext.Files(
        authority: try Certificates.path(server, "ca.crt"),
        certificate: try Certificates.path(server, "server.crt"),
        privateKey: try Certificates.path(server, "server.key")
    )
    let clientEnd = try End(
        try TLSContext(role: .client, files: ours, minimum: lowest, maximum: highest),
        serverName: serverName
    )
    let serverEnd = try End(try TLSContext(role: .server, files: theirs, minimum: lowest, maximum: highest))
    clientEnd.receive()
    converse(clientEnd, serverEnd, piece: piece)
    return (clientEnd, serverEnd)
}

/// Why it failed, as the kind and the text together.
func expect(
    _ error: TLSError?,
    _ kind: TLSError.Kind,
    _ parts: [String],
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(error?.kind == kind, comment, sourceLocation: sourceLocation)
    let text = error?.description ?? ""
    for part in parts { #expect(text.contains(part), comment, sourceLocation: sourceLocation) }
    #expect(!text.contains("\n"), "one line", sourceLocation: sourceLocation)
}
