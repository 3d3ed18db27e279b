// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor
public import Syscalls

/// Takes connections on one address.
public final class Listener: ReadinessHandler {
    /// Connections taken before other sources have their turn.
    static let batch = 16

    public let port: UInt16
    private var source: Source?
    private var again: Timer?
    private let onConnection: (consuming FileDescriptor) -> Void

    public init(
        _ address: SocketAddress,
        reactor: Reactor,
        onConnection: @escaping (consuming FileDescriptor) -> Void
    ) throws(Errno) {
        self.onConnection = onConnection
        let (socket, port) = try address.listen()
        self.port = port
        if let descriptor = socket.take() { source = reactor.watch(descriptor, for: .read, handler: self) }
        again = reactor.makeTimer { [weak self] in self?.source?.wait(for: .read) }
    }

    public func handle(_ readiness: Readiness, of source: Source) {
        for _ in 0..<Self.batch {
            do throws(Errno) {
                guard let descriptor = try source.withDescriptor({ (fd) throws(Errno) in try fd.accept() }) else {
                    return
                }
                onConnection(descriptor)
                guard source.isOpen else { return }
            } catch {
                // Out of descriptors or memory: those who wait are served when some are free again.
                source.wait(for: [])
                again?.arm(after: .milliseconds(200))
                return
            }
        }
    }

    public func close() {
        again?.cancel()
        source?.close()
        source = nil
    }
}
