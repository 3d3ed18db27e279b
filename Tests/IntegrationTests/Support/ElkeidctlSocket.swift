// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport

/// A client of the control socket that need not behave.
final class RawControlClient {
    private var descriptor: CInt
    /// What is longer than that is given up: a test must not hang.
    private static let limit = timeval(tv_sec: 10, tv_usec: 0)

    init(_ path: String) throws {
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw Failure("no socket: errno \(errno)") }
        var limit = Self.limit
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            unsafe setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = errno
            Glibc.close(descriptor)
            throw Failure("\(path): errno \(error)")
        }
    }

    deinit { Glibc.close(descriptor) }

    /// Sends everything, or as much as is taken before the agent closes.
    ///
    /// - Returns: how many bytes were taken.
    @discardableResult
    func send(_ bytes: [UInt8], waits: Bool = true) -> Int {
        var offset = 0
        let flags = CInt(MSG_NOSIGNAL) | (waits ? 0 : CInt(MSG_DONTWAIT))
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.send(descriptor, buffer.baseAddress?.advanced(by: offset), buffer.count - offset, flags)
            }
            guard count > 0 else { break }
            offset += count
        }
        return offset
    }

    @discardableResult
    func send(_ text: String, waits: Bool = true) -> Int { send(Array(text.utf8), waits: waits) }

    /// Says that nothing more comes, and goes on reading.
    func endInput() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Everything until the agent closes.
    func readToEnd() throws -> String {
        var all: [UInt8] = []
        while let more = try read() { all += more }
        return String(decoding: all, as: UTF8.self)
    }

    /// Until there are so many lines.
    func readLines(_ count: Int) throws -> [JSON] {
        var all: [UInt8] = []
        while all.count(where: { $0 == 0x0a }) < count {
            guard let more = try read() else { throw Failure("it was closed: \(String(decoding: all, as: UTF8.self))") }
            all += more
        }
        return all.split(separator: 0x0a).prefix(count).map { JSON(line: Data($0)) ?? JSON(nil) }
    }

    /// Nil at the end.
    private func read() throws -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        if count > 0 { return Array(buffer[..<count]) }
        // What was sent and not read makes the end a reset.
        guard count == 0 || errno == ECONNRESET else { throw Failure("nothing came: errno \(errno)") }
        return nil
    }
}

/// Many clients that do everything that a client must not.
struct ControlAttack {
    static let status = "{\"v\":1,\"request\":\"status\"}\n"
    static let tail = "{\"v\":1,\"request\":\"tail\"}\n"
    /// As many as are open at once.
    private static let batch = 50
    /// A line without an end.
    private static let huge = [UInt8](repeating: 0x78, count: 10 << 20)

    private var random: SeededRandom
    private let path: String

    init(_ path: String, random: SeededRandom) {
        self.path = path
        self.random = random
    }

    /// - Returns: how many bytes of the lines without an end were taken at most.
    mutating func run(clients: Int) throws -> Int {
        var longest = 0
        for first in stride(from: 0, to: clients, by: Self.batch) {
            var open: [RawControlClient] = []
            var slow: [RawControlClient] = []
            for index in first..<min(first + Self.batch, clients) {
                let client = try RawControlClient(path)
                open.append(client)
                switch index % 10 {
                case 0: client.send(random.bytes(4000))
                case 1: client.send(random.bytes(4000) + [0x0a])
                case 2: longest = max(longest, client.send(Self.huge))
                case 3:
                    client.send(Self.status)
                    client.endInput()
                case 4: client.endInput()
                case 5: client.send(Self.tail)
                // Hundreds of answers that nobody reads.
                case 6: client.send(String(repeating: Self.status, count: 500), waits: false)
                case 7: client.send(String(repeating: "[", count: 4000) + "\n")
                case 8: open.removeLast()
                default: slow.append(client)
                }
            }
            for byte in Self.status.utf8 {
                for client in slow { client.send([byte]) }
            }
        }
        return longest
    }
}
