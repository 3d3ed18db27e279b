// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// An IPv4 or IPv6 address with a port, in the kernel's form.
public struct SocketAddress: Equatable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]
    private let length: CInt

    private init(bytes: [UInt8], length: CInt) {
        self.bytes = bytes
        self.length = length
    }

    /// From a literal such as "10.0.0.1", "fe80::1%eth0"; nil when it is a name.
    public init?(literal host: String, port: UInt16) {
        var bytes = [UInt8](repeating: 0, count: Int(CLINUX_ADDRESS_SIZE))
        let length = unsafe CLinux_parse_address(host, port, &bytes)
        guard length > 0 else { return nil }
        self.init(bytes: bytes, length: length)
    }

    /// From the kernel's form, a struct sockaddr_in or sockaddr_in6; nil when it is neither.
    public init?(kernelForm address: UnsafeRawBufferPointer) {
        let family = unsafe address.count >= 2 ? CInt(address.loadUnaligned(as: sa_family_t.self)) : 0
        let size = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        guard family == AF_INET || family == AF_INET6, address.count >= size else { return nil }
        let padding = [UInt8](repeating: 0, count: Int(CLINUX_ADDRESS_SIZE) - size)
        unsafe self.init(bytes: Array(address.prefix(size)) + padding, length: CInt(size))
    }

    public var isIPv6: Bool { length == CInt(MemoryLayout<sockaddr_in6>.size) }

    /// "10.0.0.1:6751", "[::1]:6751".
    public var description: String {
        var text = [CChar](repeating: 0, count: 80)
        guard unsafe CLinux_format_address(bytes, &text, CInt(text.count)) == 0 else { return "(no address)" }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// A non-blocking TCP socket on its way to this address (connect(2)); writable once it has got there or failed,
    /// which `FileDescriptor.socketError` tells.
    public func startConnecting() throws(Errno) -> FileDescriptor {
        let socket = try makeSocket()
        if unsafe CLinux_connect(socket.rawValue, bytes, length) != 0 {
            let error = Errno.current
            // An interrupted connect goes on by itself, like one in progress.
            if error != .inProgress && error.rawValue != EINTR { throw error }
        }
        return socket
    }

    /// A listening socket, and the port it got when 0 was asked for.
    public func listen() throws(Errno) -> (socket: ListeningSocket, port: UInt16) {
        let socket = try makeSocket()
        let port = unsafe CLinux_listen(socket.rawValue, bytes, length)
        if port < 0 { throw Errno.current }
        return (ListeningSocket(socket.release()), UInt16(truncatingIfNeeded: port))
    }

    private func makeSocket() throws(Errno) -> FileDescriptor {
        let raw = unsafe CLinux_tcp_socket(bytes)
        if raw < 0 { throw Errno.current }
        return FileDescriptor(owning: raw)
    }

    fileprivate static func of(
        _ descriptor: borrowing FileDescriptor,
        _ call: (CInt, UnsafeMutablePointer<UInt8>) -> CInt
    ) -> SocketAddress? {
        var bytes = [UInt8](repeating: 0, count: Int(CLINUX_ADDRESS_SIZE))
        let raw = descriptor.rawValue
        let length = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.baseAddress.map { unsafe call(raw, $0) } ?? -1
        }
        return length > 0 ? SocketAddress(bytes: bytes, length: length) : nil
    }
}

/// A socket that takes connections. A class, since it is handed over in a tuple.
public final class ListeningSocket {
    private var owned: FileDescriptor?

    init(_ raw: CInt) { owned = FileDescriptor(owning: raw) }

    /// Gives the descriptor to its watcher, once.
    public func take() -> FileDescriptor? { owned.take() }
}

extension FileDescriptor {
    /// accept4(2): nil when nobody is waiting.
    public func accept() throws(Errno) -> FileDescriptor? {
        let raw = CLinux_accept(rawValue)
        if raw >= 0 { return FileDescriptor(owning: raw) }
        let error = Errno.current
        // The peer may have gone again before it was taken; that is nobody waiting.
        if [EAGAIN, ECONNABORTED, EINTR, EPROTO].contains(error.rawValue) { return nil }
        throw error
    }

    /// SO_ERROR: the error that a connection attempt ended with, nil when it got there.
    public var socketError: Errno? {
        let error = CLinux_socket_error(rawValue)
        return error == 0 ? nil : Errno(rawValue: error)
    }

    public var localAddress: SocketAddress? { unsafe SocketAddress.of(self) { unsafe CLinux_local_address($0, $1) } }
    public var remoteAddress: SocketAddress? { unsafe SocketAddress.of(self) { unsafe CLinux_remote_address($0, $1) } }
}
