// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Compression
import ElkeidWire
import GRPC
import HTTP2
import Net
import Reactor
import Syscalls
import TLS
import Transport

/// One connection to a server, as far as it goes: TLS, HTTP/2, and the call `Transfer`, whose first message names the
/// agent and has no records. The server then refuses it, or takes it; it is ended at once.
final class TransferProbe: HTTP2ConnectionOwner, HTTP2Handler {
    /// A server that refuses says so at once; one that takes the call may say nothing.
    private static let patience = TimeSpan.milliseconds(1500)

    struct Outcome {
        var tlsVersion: String?
        var certificate: TLSCertificate?
        /// The server has sent its SETTINGS.
        var speaksHTTP2 = false
        /// How the call ended; nil when none was made, or when it was taken.
        var status: GRPCStatus?
        var isTaken = false
        /// Why it went no further.
        var end: ConnectionEnd?
    }

    private(set) var outcome: Outcome?
    private var progress = Outcome()
    private let endpoint: TransferSettings.Endpoint
    private let agentID: String?
    private let limit: TimeSpan
    private let reactor: Reactor
    private var connection: HTTP2Connection?
    private var stream: HTTP2Stream?
    private var call = ClientCall()
    private lazy var timer = reactor.makeTimer { [unowned self] in self.timeIsUp() }

    init(_ endpoint: TransferSettings.Endpoint, agentID: String?, limit: TimeSpan, reactor: Reactor) {
        self.endpoint = endpoint
        self.agentID = agentID
        self.limit = limit
        self.reactor = reactor
    }

    func start(over descriptor: consuming FileDescriptor, context: TLSContext, serverName: String) {
        do throws(ConnectionEnd) {
            connection = try HTTP2Connection.connect(
                over: descriptor,
                context: context,
                serverName: serverName,
                reactor: reactor,
                handshakeLimit: limit,
                options: HTTP2Session.Options(window: 1 << 20),
                handler: self,
                owner: self
            )
        } catch {
            progress.end = error
            finish()
        }
    }

    private func finish() {
        guard outcome == nil else { return }
        timer.cancel()
        outcome = progress
        connection?.close("the probe is done")
    }

    /// A call that is not refused is taken.
    private func timeIsUp() {
        if stream != nil { progress.isTaken = true }
        finish()
    }

    // MARK: The connection

    func connected(_ connection: HTTP2Connection) {
        progress.tlsVersion = connection.tlsVersion
        progress.certificate = connection.peerCertificate
        timer.arm(after: limit)
    }

    func fillStreams(_ connection: HTTP2Connection) {}

    func ended(_ connection: HTTP2Connection, _ end: ConnectionEnd) {
        if progress.certificate == nil {
            progress.certificate = connection.refusedCertificate ?? connection.peerCertificate
        }
        progress.end = end
        finish()
    }

    func settingsReceived() {
        guard !progress.speaksHTTP2 else { return }
        progress.speaksHTTP2 = true
        guard let agentID else { return finish() }
        makeCall(agentID)
    }

    private func makeCall(_ agentID: String) {
        guard let http = connection?.http else { return }
        do throws(HTTP2Error) {
            let stream = try http.request(
                ClientCall.requestHeaders(
                    path: "/grpc.Transfer/Transfer",
                    authority: "\(endpoint)",
                    coding: .identity,
                    userAgent: "elkeidctl-doctor"
                )
            )
            var header = PackagedDataHeader()
            header.agentID = agentID
            header.product = "elkeid-agent"
            var message = BufferChain()
            let arena = Arena(pool: SlabPool(slabSize: 16 << 10))
            let body = header.encoded()
            let prefix: [UInt8] = [0] + withUnsafeBytesOfBigEndian(UInt32(body.count))
            unsafe arena.append((prefix + body).span.bytes, to: &message)
            stream.append(message)
            self.stream = stream
            connection?.flush()
            timer.arm(after: Self.patience)
        } catch {
            progress.end = .local("\(error)")
            finish()
        }
    }

    // MARK: The call

    func headers(_ headers: [HTTP2Header], on stream: HTTP2Stream, end: Bool) {
        take(call.received(headers, end: end))
    }

    func data(_ bytes: RawSpan, on stream: HTTP2Stream) { take(.accepted) }
    func ended(_ stream: HTTP2Stream) { take(call.receivedEnd()) }
    func closed(_ stream: HTTP2Stream, code: HTTP2ErrorCode) { take(call.closed(code)) }
    func windowUpdate(on stream: Int32, increment: Int) {}
    func pingAcknowledged(_ payload: UInt64) {}

    func goAway(lastStream: Int32, code: HTTP2ErrorCode, debug: String) {
        guard code != .noError else { return }
        progress.end = .local("the server sent GOAWAY: \(code) \(debug)")
        finish()
    }

    private func take(_ step: ClientCall.Outcome) {
        switch step {
        // It may still be refused: a status follows at once then.
        case .accepted: progress.isTaken = true
        case .ended(let status):
            progress.isTaken = false
            progress.status = status
            finish()
        case .none: break
        }
    }
}

/// The length of a gRPC message.
private func withUnsafeBytesOfBigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
}
