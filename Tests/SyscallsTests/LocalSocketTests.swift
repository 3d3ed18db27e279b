// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Syscalls
import TestSupport
import Testing

@Suite("Local sockets")
final class LocalSocketTests {
    let folder = "/tmp/elkeid-local-\(UUID().uuidString.prefix(13))"
    var path: String { "\(folder)/s" }

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Both ends of a connection.
    struct Connection: ~Copyable {
        let server: FileDescriptor
        let client: FileDescriptor
    }

    func connected() throws -> Connection {
        let listener = try LocalSocket.listen(at: path)
        let client = try LocalSocket.connect(to: path, milliseconds: 5000)
        return Connection(server: try require(try listener.accept()), client: client)
    }

    /// Has somebody connected?
    func expect(_ listener: borrowing FileDescriptor, hasVisitor: Bool) throws {
        var isThere = false
        if case .some = try listener.accept() { isThere = true }
        #expect(isThere == hasVisitor)
    }

    @Test func whoIsThere() throws {
        let ends = try connected()
        let (server, client) = (try ends.server.peerUser(), try ends.client.peerUser())
        #expect(server == geteuid() && client == geteuid())
        // What is no local socket has nobody at its end.
        let file = try FileDescriptor.open("/dev/null", .read)
        #expect(throws: Errno(rawValue: ENOTSOCK)) { _ = try file.peerUser() }
    }

    @Test func waitingForInput() throws {
        let listener = try LocalSocket.listen(at: path)
        let client = try LocalSocket.connect(to: path, milliseconds: 5000)
        let server = try require(try listener.accept())
        #expect(!client.waitReadable(milliseconds: 0) && !client.waitReadable(milliseconds: 1))
        #expect([1, 2].withBytes { server.send($0) } == .bytes(2))
        #expect(client.waitReadable(milliseconds: 20_000) && client.waitReadable(milliseconds: 0))
        var bytes: [UInt8] = []
        try client.readChunk(appendingTo: &bytes, capacity: 10)
        #expect(bytes == [1, 2] && !client.waitReadable(milliseconds: 0))
        try server.close()
        let hasEnded = client.waitReadable(milliseconds: 20_000)
        #expect(hasEnded, "an end is something to read")
        #expect([1].withBytes { client.send($0) } == .failed(.brokenPipe), "and no signal")
    }

    /// What blocks gives up.
    @Test func patienceHasAnEnd() throws {
        let listener = try LocalSocket.listen(at: path)
        let client = try LocalSocket.connect(to: path, milliseconds: 20)
        var bytes: [UInt8] = []
        #expect(throws: Errno.again) { try client.readChunk(appendingTo: &bytes, capacity: 1) }
        var sent = 0
        while case .bytes(let count) = [UInt8](repeating: 0, count: 64 << 10).withBytes({ client.send($0) }) {
            sent += count
        }
        #expect(sent > 0 && bytes.isEmpty)
        // A listener that accepts nobody: its queue is full at some time.
        var waiting: [CInt] = []
        defer { for raw in waiting { _ = FileDescriptor(owning: raw) } }
        #expect(throws: Errno.again) {
            for _ in 0..<1000 { waiting.append(try LocalSocket.connect(to: path, milliseconds: 20).release()) }
        }
        try expect(listener, hasVisitor: true)
    }

    @Test func nobodyWaits() throws {
        let listener = try LocalSocket.listen(at: path)
        try expect(listener, hasVisitor: false)
    }

    /// unix(7): a path has 107 bytes, and one at least.
    @Test func pathsOfAnyLength() throws {
        let longest = folder + "/" + String(repeating: "s", count: 107 - folder.utf8.count - 1)
        let listener = try LocalSocket.listen(at: longest)
        _ = try LocalSocket.connect(to: longest, milliseconds: 1000)
        try expect(listener, hasVisitor: true)
        let tooLong = Errno(rawValue: ENAMETOOLONG)
        for path in [longest + "s", longest + "ü", "/" + String(repeating: "x/", count: 4000), ""] {
            #expect(throws: tooLong) { _ = try LocalSocket.listen(at: path) }
            #expect(throws: tooLong) { _ = try LocalSocket.connect(to: path, milliseconds: 10) }
        }
    }

    @Test func whatIsNotThere() throws {
        #expect(throws: Errno.notFound) { _ = try LocalSocket.connect(to: path, milliseconds: 10) }
        #expect(throws: Errno.notFound) { _ = try LocalSocket.listen(at: "\(folder)/missing/s") }
        do { _ = try LocalSocket.listen(at: path) }
        #expect(throws: Errno(rawValue: ECONNREFUSED)) { _ = try LocalSocket.connect(to: path, milliseconds: 10) }
        // Left behind: it is replaced. In use: it is not.
        let listener = try LocalSocket.listen(at: path)
        #expect(throws: Errno.addressInUse) { _ = try LocalSocket.listen(at: path) }
        _ = try LocalSocket.connect(to: path, milliseconds: 1000)
        try expect(listener, hasVisitor: true)
    }
}
