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

// The stream on a connection, and what happens when it ends.
extension TransferClient: HTTP2ConnectionOwner {
    /// Opens the stream: the first message is one fresh heartbeat alone, to which the server answers with its
    /// configuration.
    public func connected(_ connection: HTTP2Connection) {
        guard let http = connection.http, let endpoint else { return }
        let coding = identityOnly.contains(endpoint) ? ContentCoding.identity : settings.coding
        if assembler.coding != coding { assembler = MessageAssembler(coding, arena: arena) }
        call = ClientCall()
        decoder = MessageDecoder()
        streamOffset = 0
        confirmation = Confirmation(pingSpacing: settings.confirmSpacing)
        answersOurEnd = false
        pingIsQueued = false
        largestMessage = 0
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
        keepaliveTimer.arm(after: settings.keepalive)
        sendHeartbeat()
        acceptTimer.arm(after: settings.acceptLimit)
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
        acceptedAt = MonotonicTime.now()
        traffic.connections += 1
        avoided = nil
        let found = mode?.rawValue ?? "unknown"
        log.info(
            "get connection successfully: idc \(settings.idc),region \(settings.regionName),netmode \(found)",
            metadata: [
                "endpoint": "\(endpoint)", "tls": "\(connection.tlsVersion)", "resumed": "\(connection.isResumed)",
            ]
        )
        state = .running("\(endpoint)")
        connection.flush()
    }

    /// The server has shown that it took the call.
    func takenByServer() {
        conflict.accepted()
        accept()
    }

    public func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
        guard connection === self.connection else { return }
        if let endpoint, let resumption = connection.resumption { resumptions.keep(resumption, for: endpoint) }
        self.connection = nil
        traffic.bytesSent += connection.bytesSent
        traffic.bytesReceived += connection.bytesReceived
        if case .tls = end { context = nil }
        stream = nil
        failUploads("the connection to the server ended: \(endReason ?? "\(end)")")
        acceptTimer.cancel()
        confirmTimer.cancel()
        statusTaken.cancel()
        closeTimer.cancel()
        keepaliveTimer.cancel()
        decodeLater.cancel()
        compressLater.cancel()
        if answersOurEnd { confirmation.endAcknowledged() }
        outbox.confirm(upTo: confirmation.offset)
        outbox.streamLost()
        assembling = nil
        assembler = MessageAssembler(assembler.coding, arena: arena)
        let wasAccepted = isAccepted
        isAccepted = false
        if isStopping { return finishStopping(nil) }
        delegate?.confirmed()
        let reason = endReason ?? "\(end)"
        guard wasAccepted, !retryAtOnce else { return attemptFailed(reason) }
        // A stream that ends soon after it began is no success: the pauses go on growing.
        if MonotonicTime.now() - acceptedAt >= backoff.maximum { backoff.reset() }
        log.warning("connection to \(endpoint.map { "\($0)" } ?? "the server") ended: \(reason)")
        lastFailure = "\(endpoint.map { "\($0)" } ?? "the server"): \(reason)"
        avoided = endpoint
        scheduleRetry(reason)
    }

    /// What passed on the connection so far is in `traffic` only when it has ended.
    public var currentTraffic: TransferTraffic {
        var sum = traffic
        sum.bytesSent += connection?.bytesSent ?? 0
        sum.bytesReceived += connection?.bytesReceived ?? 0
        return sum
    }

    /// Time to see whether the server still lives.
    func checkLife() {
        guard let connection, connection.isOpen else { return }
        switch keepalive.due(at: MonotonicTime.now(), lastHeard: connection.lastReceived) {
        case .wait(let time): keepaliveTimer.arm(at: time)
        case .ping(let time):
            ping()
            keepaliveTimer.arm(at: time)
        case .dead(let silence):
            endReason = "the server is silent for \(Int(silence.seconds)) s and does not answer a PING"
            connection.abort(endReason ?? "")
        }
    }

    /// The call ended with a status; the connection has no further use.
    func callEnded(_ status: GRPCStatus) {
        guard let endpoint else { return }
        if status.code == .unimplemented && assembler.coding != .identity && identityOnly.insert(endpoint).inserted {
            endReason =
                "the server does not know compression \(assembler.coding.grpcName) (\(status)); going on without it"
            retryAtOnce = true
        } else if status.code == .ok {
            answersOurEnd = isEnding && stream?.hasSentEnd == true
            endReason = endReason ?? "the server ended the stream"
            do throws(MessageError) {
                try decoder.finish()
            } catch {
                endReason = "\(error)"
            }
        } else {
            if ConflictWatch.isConflict(status) {
                conflict.refused(at: MonotonicTime.now())
                avoided = endpoint
                if let problem = conflict.problem(at: MonotonicTime.now()) { log.error("\(problem)") }
            }
            endReason = "the server \(isAccepted ? "ended" : "refused") the stream: \(status)"
        }
        // What comes with the status is still read.
        if answersOurEnd { return statusTaken.schedule() }
        connection?.close(endReason ?? "")
    }

    /// The status has come, and whatever the server sent along with it.
    func closeAfterStatus() { connection?.close(endReason ?? "") }

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

    /// Ends our half in order; the status that the server answers with ends the connection, and the next round begins.
    /// Without a stream the next round begins at once.
    func turnAway(_ reason: String) {
        // A server that goes away says so twice; what it answers our end with is still to come.
        if isEnding { return }
        guard let stream else {
            if connection == nil { return beginRound() }
            endReason = endReason ?? reason
            connection?.close(reason)
            return
        }
        isEnding = true
        endReason = reason
        stream.finish()
        connection?.flush()
        closeTimer.arm(after: settings.closeLimit)
    }

    /// The server does not end the stream: it is reset, so that it learns of it however it hangs.
    func giveUpClosing() {
        if isStopping { return finishStopping("the time to flush is over") }
        endReason = "\(endReason ?? "closing"); the server did not end the stream in time"
        connection?.abort(endReason ?? "")
    }

    func finishStopping(_ reason: String?) {
        guard let completion = onStopped else { return }
        state = .stopped
        onStopped = nil
        closeTimer.cancel()
        acceptTimer.cancel()
        keepaliveTimer.cancel()
        cancelAttempt()
        connection?.close(reason ?? "the agent stops")
        completion()
    }
}

extension TransferClient: HTTP2Handler {
    public func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        if let upload = uploads[stream.id] { return upload.received(headers, end: end) }
        guard stream === self.stream else { return }
        switch call.received(headers, end: end) {
        case .accepted:
            decoder.use(call.responseCoding)
            takenByServer()
        case .ended(let status): callEnded(status)
        case .none: break
        }
    }

    public func data(_ bytes: RawSpan, on stream: HTTP2Stream) {
        if let upload = uploads[stream.id] { return upload.received(bytes) }
        guard stream === self.stream, !call.hasEnded else { return }
        decoder.feed(bytes)
        decodeMessages()
    }

    public func ended(_ stream: HTTP2Stream) {
        if let upload = uploads[stream.id] { return upload.receivedEnd() }
        guard stream === self.stream else { return }
        if case .ended(let status) = call.receivedEnd() { callEnded(status) }
    }

    public func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) {
        if let upload = uploads[stream.id] { return upload.closed(code) }
        guard stream === self.stream else { return }
        if case .ended(let status) = call.closed(code) { callEnded(status) }
    }

    public func windowUpdate(on stream: Int32, increment: Int) {
        guard let own = self.stream, own.id == stream else { return }
        confirmation.credited(increment, at: MonotonicTime.now())
        // Credit on the stream is evidence that the server's handler reads.
        takenByServer()
        confirm()
    }

    /// A server that ends the stream of its own accord, its end crossing ours, resets what it has not read.
    public func resetReceived(on stream: Int32) {
        if stream == self.stream?.id { answersOurEnd = false }
    }

    public func pingFramed(_ payload: UInt64) {
        pingIsQueued = false
        guard let stream else { return }
        confirmation.pingSent(payload, barrier: stream.framedBytes, at: MonotonicTime.now())
    }

    // MARK: Confirmation

    /// Frees what the evidence covers.
    func confirm() {
        if outbox.confirm(upTo: confirmation.offset) {
            delegate?.confirmed()
            // The limit of what may be unconfirmed is further away.
            connection?.flush()
        }
        if !confirmTimer.isArmed { confirmByPing() }
    }

    /// Sends the PING that is due, or waits for its time. Heartbeats alone are not worth one: they are not kept.
    func confirmByPing() {
        guard !pingIsQueued, outbox.carriedInFlight > 0, connection?.isOpen == true, stream != nil, !isEnding,
            let due = confirmation.pingDue
        else { return }
        guard MonotonicTime.now() >= due else { return confirmTimer.arm(at: due) }
        ping()
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
        turnAway("the server goes away")
    }

    public func settingsReceived() {}
    /// The next look is due after the next silence, not when the time for this answer would have been over.
    public func pingAcknowledged(_ payload: UInt64) {
        checkLife()
        guard let stream, !stream.isClosed else { return }
        confirmation.pingAcknowledged(payload, at: MonotonicTime.now())
        confirm()
    }
}
