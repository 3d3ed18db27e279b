// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor
public import TLS

/// What an operator asks about the connection to the server.
public struct ConnectionFacts: Sendable {
    /// The server that is or was used last, and how it was found.
    public var endpoint: TransferSettings.Endpoint?
    public var mode: NetworkMode?
    /// Since when records are sent on it.
    public var since: MonotonicTime?
    public var remoteAddress: String?
    public var localAddress: String?
    public var tlsVersion: String?
    public var cipher: String?
    public var isResumed = false
    /// The server's.
    public var certificate: TLSCertificate?
    /// Why the last attempt failed, and when the next one is.
    public var lastFailure: String?
    public var nextAttempt: MonotonicTime?
}

extension TransferClient {
    public var facts: ConnectionFacts {
        var facts = ConnectionFacts()
        facts.endpoint = endpoint
        facts.mode = mode
        if retryTimer.isArmed { facts.nextAttempt = retryTimer.deadline }
        if hasFailed { facts.lastFailure = lastFailure }
        guard let connection, connection.isOpen else { return facts }
        if isAccepted { facts.since = acceptedAt }
        facts.remoteAddress = connection.remoteAddress.map { "\($0)" }
        facts.localAddress = connection.localAddress.map { "\($0)" }
        guard connection.http != nil else { return facts }
        facts.tlsVersion = connection.tlsVersion
        facts.cipher = connection.cipher
        facts.isResumed = connection.isResumed
        facts.certificate = connection.peerCertificate
        return facts
    }
}
