// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import Delivery
import GRPC
public import HTTP2
import Logging
public import Net
import Reactor
import Syscalls
import TLS

// The way to a stream, and what happens when it ends.
extension TransferClient: HTTP2ConnectionOwner {
    func connect() {
        guard connection == nil, !isStopping, !settings.endpoints.isEmpty else { return }
        let endpoint = settings.endpoints[nextEndpoint % settings.endpoints.count]
        self.endpoint = endpoint
        endReason = nil
        state = .connecting("\(endpoint)")
        guard let address = SocketAddress(literal: endpoint.host, port: endpoint.port) else {
            return attemptFailed("\(endpoint.host) is not an IPv4 or IPv6 address")
        }
        let context: TLSContext
        do throws(TLSError) {
            context = try currentContext()
        } catch {
            return attemptFailed("\(error)")
        }
        do throws(ConnectionEnd) {
            connection = try HTTP2Connection.connect(
                to: address,
                context: context,
                serverName: settings.serverName,
                reactor: reactor,
                limit: settings.connectLimit,
                handshakeLimit: settings.handshakeLimit,
                options: HTTP2Session.Options(window: Self.receiveWindow),
                handler: self,
                owner: self
            )
        } catch {
            attemptFailed("\(error)")
        }
    }

    /// Opens the stream: the first message is one fresh heartbeat alone, to which the server answers with its
    /// configuration.
    public func connected(_ connection: HTTP2Connection) {
        guard let http = connection.http, let endpoint else { return }
        let coding = identityOnly.contains(endpoint) ? ContentCoding.identity : settings.coding
        if assembler.coding != coding { assembler = MessageAssembler(coding, arena: arena) }
        call = ClientCall()
        decoder = MessageDecoder()
        streamOffset = 0
        isAccepted = false
        isEnding = false
        do throws(HTTP2Error) {
            stream = try http.request(
                ClientCall.requestHeaders(
                    path: Self.path,
                    authority: "\(endpoint)",
                    coding: coding,
                    userAgent: Self.userAgent
                )
            )
        } catch {
            return connection.close("\(error)")
        }
        state = .opening("\(endpoint)")
        sendHeartbeat()
        acceptTimer.arm(after: settings.acceptLimit)
    }

    public func kernelTookEverything(_ connection: HTTP2Connection) {
        guard let stream, connection === self.connection else { return }
        let before = outbox.inFlightBatches
        outbox.confirm(upTo: stream.framedBytes)
        if outbox.inFlightBatches != before { delegate?.confirmed() }
    }

    public func fillStreams(_ connection: HTTP2Connection) {
        guard connection === self.connection else { return }
        appendMessages()
    }

    /// The call is taken, or at least not refused within the time in which servers refuse.
    func accept() {
        guard !isAccepted, !isEnding, let endpoint, let connection, stream != nil else { return }
        acceptTimer.cancel()
        isAccepted = true
        attemptsThisRound = 0
        acceptedAt = MonotonicTime.now()
        log.info(
            "get connection successfully: idc \(settings.idc),region \(settings.region),netmode private",
            metadata: ["endpoint": "\(endpoint)", "tls": "\(connection.tlsVersion)"]
        )
        state = .running("\(endpoint)")
        connection.flush()
    }

    public func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
        guard connection === self.connection else { return }
        self.connection = nil
        if case .tls = end { context = nil }
        stream = nil
        acceptTimer.cancel()
        closeTimer.cancel()
        decodeLater.cancel()
        compressLater.cancel()
        outbox.streamLost(unsent: assembling.map { [$0] } ?? [])
        assembling = nil
        assembler = MessageAssembler(assembler.coding, arena: arena)
        let wasAccepted = isAccepted
        isAccepted = false
        if isStopping { return finishStopping(nil) }
        delegate?.confirmed()
        let reason = endReason ?? "\(end)"
        if wasAccepted && !retryAtOnce {
            // A stream that ends soon after it began is no success: the pauses go on growing.
            if MonotonicTime.now() - acceptedAt >= backoff.maximum { backoff.reset() }
            log.warning("connection to \(endpoint.map { "\($0)" } ?? "the server") ended: \(reason)")
            nextEndpoint += 1
            return scheduleRetry(reason)
        }
        attemptFailed(reason)
    }

    /// One address did not lead to a stream: the next one is tried at once, and after all of them comes a pause.
    private func attemptFailed(_ reason: String) {
        let endpoint = self.endpoint.map { "\($0)" } ?? "the server"
        if retryAtOnce {
            retryAtOnce = false
            log.warning("\(endpoint): \(reason)")
            state = .waiting(reason: reason)
            retryTimer.arm(after: .zero)
            return
        }
        log.error("cannot use \(endpoint): \(reason)")
        nextEndpoint += 1
        attemptsThisRound += 1
        if attemptsThisRound < settings.endpoints.count {
            state = .waiting(reason: "\(endpoint): \(reason)")
            retryTimer.arm(after: .zero)
            return
        }
        attemptsThisRound = 0
        scheduleRetry("\(endpoint): \(reason)")
    }

    private func scheduleRetry(_ reason: String) {
        let delay = backoff.next(using: &random)
        state = .waiting(reason: reason)
        log.info("next attempt in \(delay.nanoseconds / 1_000_000) ms")
        retryTimer.arm(after: delay)
    }

    /// The call ended with a status; the connection has no further use.
    func callEnded(_ status: GRPCStatus) {
        guard let endpoint else { return }
        if status.code == .unimplemented && assembler.coding != .identity && identityOnly.insert(endpoint).inserted {
            endReason =
                "the server does not know compression \(assembler.coding.grpcName) (\(status)); going on without it"
            retryAtOnce = true
        } else if status.code == .ok {
            endReason = endReason ?? "the server ended the stream"
            do throws(MessageError) {
                try decoder.finish()
            } catch {
                endReason = "\(error)"
            }
        } else {
            endReason = "the server \(isAccepted ? "ended" : "refused") the stream: \(status)"
        }
        connection?.close(endReason ?? "")
    }

    /// The server's bytes make no sense: nothing that follows can be trusted.
    func protocolFailure(_ what: String) {
        endReason = "the server sent \(what)"
        connection?.close(endReason ?? "")
    }

    // MARK: Stopping

    /// Everything is sent: half-close, then the server's status ends the connection.
    func finishSending() {
        isEnding = true
        stream?.finish()
    }

    func giveUpClosing() {
        if isStopping { return finishStopping("the time to flush is over") }
        connection?.close("the server did not end the stream in time")
    }

    func finishStopping(_ reason: String?) {
        guard let completion = onStopped else { return }
        state = .stopped
        onStopped = nil
        closeTimer.cancel()
        acceptTimer.cancel()
        retryTimer.cancel()
        connection?.close(reason ?? "the agent stops")
        completion()
    }
}

extension TransferClient: HTTP2Handler {
    public func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        guard stream === self.stream else { return }
        switch call.received(headers, end: end) {
        case .accepted:
            decoder.use(call.responseCoding)
            accept()
        case .ended(let status): callEnded(status)
        case .none: break
        }
    }

    public func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        guard stream === self.stream, !call.hasEnded else { return }
        decoder.feed(bytes)
        decodeMessages()
    }

    public func ended(_ stream: HTTP2Stream) {
        guard stream === self.stream else { return }
        if case .ended(let status) = call.receivedEnd() { callEnded(status) }
    }

    public func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {
        guard stream === self.stream else { return }
        if case .ended(let status) = call.closed(code) { callEnded(status) }
    }

    public func windowUpdate(on stream: Int32, increment: Int) {
        // Credit on the stream is evidence that the server's handler reads.
        if let own = self.stream, own.id == stream { accept() }
    }

    public func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {
        let reason = debug.isEmpty ? "\(code)" : "\(code) (\(debug))"
        log.info("the server goes away: \(reason)")
        guard code == .noError, let stream, stream.id <= lastStream else {
            endReason = "the server sent GOAWAY: \(reason)"
            connection?.close(endReason ?? "")
            return
        }
        // It waits for our stream to end: what is in flight goes out, then half-close and its status.
        isEnding = true
        endReason = "the server goes away"
        stream.finish()
        connection?.flush()
        closeTimer.arm(after: settings.closeLimit)
    }

    public func settingsReceived() {}
    public func pingAcknowledged(_ payload: UInt64) {}
}
