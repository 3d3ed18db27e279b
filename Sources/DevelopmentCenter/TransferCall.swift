// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire
import GRPC
import Syscalls

/// `/grpc.Transfer/Transfer`: records of one agent come in, commands go out.
final class TransferCall: CallHandler {
    static let heartbeat: Int32 = 1000

    private let call: ServerCall
    private unowned let center: Center
    private unowned let connection: AgentConnection
    /// From the first message; nobody checks it against the certificate, as in an Agent Center.
    private(set) var agentID: String?
    private var configured = false

    init(_ call: ServerCall, center: Center, connection: AgentConnection) {
        self.call = call
        self.center = center
        self.connection = connection
    }

    func received(_ message: [UInt8]) -> GRPCStatus? {
        let data: PackagedData
        do throws(WireError) {
            data = try PackagedData(decoding: message)
        } catch {
            center.malformedMessage(from: agentID ?? peer, error)
            return GRPCStatus(.internalError, "grpc: failed to unmarshal the received message: \(error.description)")
        }
        if agentID == nil {
            guard center.admit(self, data.header) else { return GRPCStatus(.unknown, "agentID conflict") }
            agentID = data.header.agentID
        }
        center.count(message, data.records, from: data.header.agentID)
        if !configured && data.records.contains(where: { $0.dataType == Self.heartbeat }) {
            configured = true
            center.configure(self)
        }
        return nil
    }

    var peer: String { connection.peer }
    var localAddress: SocketAddress? { connection.localAddress }

    func send(_ command: Command) { call.send(command.encoded()) }

    /// Ends the stream as an Agent Center does that rebalances: with OK.
    func reset() { call.finish(GRPCStatus(.ok)) }

    func halfClosed() -> GRPCStatus { GRPCStatus(.ok) }

    func ended() { center.dismiss(self) }
}
