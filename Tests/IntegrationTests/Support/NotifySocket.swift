// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where a service manager listens for what sd_notify(3) sends.
final class NotifySocket {
    private let descriptor: CInt
    /// Everything that has come, in order.
    private var received: [String] = []

    /// - Parameter address: a path, or "@" and a name in the abstract namespace.
    init(_ address: String) throws {
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(AF_UNIX, kind, 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(address.utf8)
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        guard descriptor >= 0, bytes.count < 108 else { throw Failure("no socket for \(address)") }
        unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = unsafe withUnsafePointer(to: &name) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor, $0, length) }
        }
        guard result == 0 else { throw Failure("\(address) cannot be bound: errno \(errno)") }
    }

    deinit { close(descriptor) }

    var messages: [String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count >= 0 else { return received }
            received.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    /// Waits until `count` messages hold that text.
    @discardableResult
    func wait(for text: String, count: Int = 1) throws -> [String] {
        try eventually("\(count) of \(text)", state: "\(messages)") {
            let found = messages.filter { $0.contains(text) }
            return found.count >= count ? found : nil
        }
    }
}
