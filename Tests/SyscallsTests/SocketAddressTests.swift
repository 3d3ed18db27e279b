// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Syscalls
import Testing

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test(
        arguments: [
            ("10.0.0.1", 6751, "10.0.0.1:6751"), ("0.0.0.0", 0, "0.0.0.0:0"), ("::1", 65535, "[::1]:65535"),
            ("2001:DB8:0:0::1", 80, "[2001:db8::1]:80"), ("::ffff:192.0.2.1", 1, "[::ffff:192.0.2.1]:1"),
            ("fe80::1%lo", 5, "[fe80::1]:5"), ("fe80::1%7", 5, "[fe80::1]:5"),
        ] as [(String, UInt16, String)]
    )
    func literals(_ host: String, _ port: UInt16, _ text: String) throws {
        #expect(try #require(SocketAddress(literal: host, port: port)).description == text)
    }

    @Test(
        arguments: [
            "", "localhost", "elkeid.com", "10.0.0", "10.0.0.256", "1.2.3.4.5", "[::1]", "::g", "12345::", "1.2.3.4%lo",
            "::1 ", "fe80::1%no-such-interface", "fe80::1%", String(repeating: ":", count: 500),
        ]
    )
    func namesAreNoLiterals(_ host: String) {
        #expect(SocketAddress(literal: host, port: 1) == nil)
    }

    @Test func addressesAreCompared() throws {
        let first = SocketAddress(literal: "10.0.0.1", port: 1)
        #expect(first == SocketAddress(literal: "10.0.0.1", port: 1))
        #expect(
            first != SocketAddress(literal: "10.0.0.1", port: 2) && first != SocketAddress(literal: "10.0.0.2", port: 1)
        )
        #expect(SocketAddress(literal: "::1", port: 1) == SocketAddress(literal: "0::1", port: 1))
    }

    @Test func refusedConnectionIsTold() throws {
        let (listener, port) = try #require(SocketAddress(literal: "127.0.0.1", port: 0)).listen()
        try listener.take()?.close()
        let socket = try #require(SocketAddress(literal: "127.0.0.1", port: port)).startConnecting()
        var ready = pollfd(fd: socket.rawValue, events: Int16(POLLOUT), revents: 0)
        #expect(unsafe poll(&ready, 1, -1) == 1)
        #expect(socket.socketError == Errno(rawValue: ECONNREFUSED))
    }
}
