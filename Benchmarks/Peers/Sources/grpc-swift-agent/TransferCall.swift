// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NIOCore
import Synchronization

/// One call of `/grpc.Transfer/Transfer`, from the connection to its end.
struct TransferCall {
    private struct EndedEarly: Error, CustomStringConvertible {
        let description = "the server ended the call before everything was sent"
    }

    private static let method = MethodDescriptor(
        fullyQualifiedService: "grpc.Transfer",
        method: "Transfer",
        type: .bidirectionalStreaming
    )

    private let transport: HTTP2ClientTransport.Posix

    init(_ arguments: Arguments, on loop: any EventLoop) throws {
        let security = HTTP2ClientTransport.Posix.TransportSecurity.mTLS(
            certificateChain: [.file(path: arguments.certificate, format: .pem)],
            privateKey: .file(path: arguments.key, format: .pem)
        ) {
            $0.trustRoots = .certificates([.file(path: arguments.ca, format: .pem)])
            $0.serverCertificateVerification = .fullVerification
        }
        transport = try HTTP2ClientTransport.Posix(
            target: .dns(host: arguments.host, port: arguments.port),
            transportSecurity: security,
            config: .defaults {
                $0.http2.authority = arguments.serverName
                $0.channelDebuggingCallbacks.onCreateTCPConnection = PingResponder.install
            },
            eventLoopGroup: loop
        )
    }

    /// Sends `first` at once, then `messages` as the stream takes them, and returns when the server has ended the call.
    func send(first: ByteBuffer, then messages: RecordBatcher.Messages) async throws {
        let sentAll = Mutex(false)
        try await withGRPCClient(transport: transport) { client in
            let request = StreamingClientRequest(of: ByteBuffer.self) { writer in
                try await writer.write(first)
                for await message in messages { try await writer.write(message) }
                sentAll.withLock { $0 = !Task.isCancelled }
            }
            try await client.bidirectionalStreaming(
                request: request,
                descriptor: Self.method,
                serializer: EncodedMessageSerializer(),
                deserializer: CommandDropper(),
                options: Self.options
            ) { response in
                for try await _ in response.messages {}
            }
        }
        if !sentAll.withLock({ $0 }) { throw EndedEarly() }
    }

    private static var options: CallOptions {
        var options = CallOptions.defaults
        // A server that cannot be reached is a failure, not something to wait for.
        options.waitForReady = false
        // The transport takes this for what it may receive: configurations can have 10 MiB.
        options.maxRequestMessageBytes = 10 << 20
        return options
    }
}
