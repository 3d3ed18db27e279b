// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import Foundation
import Glibc
import JSON
import Reactor
import Syscalls
import Testing

@Suite("Control: the socket's file")
struct SocketFileTests {
    let folder: Folder
    let reactor: Reactor
    let handler: Nobody
    let path: String

    /// Answers nothing.
    final class Nobody: ControlHandler {
        func answer(_ request: ControlRequest, of client: ControlClient) -> ControlAnswer { .result(.null) }
    }

    init() throws {
        folder = try Folder()
        reactor = try Reactor()
        handler = Nobody()
        path = "\(folder.path)/agent.sock"
    }

    func server(_ path: String? = nil) throws(Errno) -> ControlServer {
        try ControlServer(path: path ?? self.path, reactor: reactor, handler: handler)
    }

    /// Why there is no server.
    func problem(_ path: String? = nil) -> Errno? {
        do throws(Errno) {
            try server(path).close()
            return nil
        } catch {
            return error
        }
    }

    static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode : nil
    }

    /// Turns until the one who has asked is answered, or sent away.
    func isServed(_ path: String? = nil) throws -> Bool {
        let peer = try Peer(path ?? self.path)
        peer.send(AnswerTests.request("a"))
        while !peer.isEnded && peer.receive() == 0 { try reactor.turn(wait: true) }
        return !peer.lines.isEmpty
    }

    /// Whatever the process's umask says. In a process of its own, which all files depend on.
    @Test func onlyItsOwnerMayConnect() async {
        await #expect(processExitsWith: .success) {
            for mask in [0o000, 0o022, 0o077] as [mode_t] {
                _ = umask(mask)
                let test = try SocketFileTests()
                let server = try test.server()
                let mode = try #require(Self.mode(test.path))
                #expect(mode & S_IFMT == S_IFSOCK && mode & 0o7777 == 0o600)
                #expect(try test.isServed())
                server.close()
            }
        }
    }

    @Test func aClosedServerLeavesNoFile() throws {
        let first = try server()
        let peer = try Peer(path)
        first.close()
        #expect(Self.mode(path) == nil)
        first.close()
        peer.receive()
        #expect(peer.isEnded)
        #expect(throws: Errno.notFound) { _ = try LocalSocket.connect(to: path, milliseconds: 100) }
        // It can be had again, and the first one does not touch it any more.
        let second = try server()
        first.close()
        #expect(Self.mode(path) != nil)
        #expect(try isServed())
        second.close()
        #expect(reactor.sourceCount == 0)
    }

    /// What a killed agent left.
    @Test func anAbandonedFileIsReplaced() throws {
        do { _ = try LocalSocket.listen(at: path) }
        #expect(Self.mode(path) != nil)
        let server = try server()
        #expect(Self.mode(path).map { $0 & 0o7777 } == 0o600)
        #expect(try isServed())
        server.close()
    }

    @Test func aLiveOneIsNot() throws {
        let first = try server()
        for _ in 0..<3 { #expect(problem() == .addressInUse) }
        #expect(try isServed(), "the first one serves on")
        first.close()
        #expect(problem() == nil)
    }

    /// One that listens and hangs is alive as well, also with a full backlog.
    @Test func oneThatHangsIsAlive() throws {
        let listener = try LocalSocket.listen(at: path)
        #expect(problem() == .addressInUse)
        var waiting: [Held] = []
        #expect(throws: Errno.again) { for _ in 0..<200 { waiting.append(try Held(path)) } }
        #expect(waiting.count >= 64 && problem() == .addressInUse)
        #expect(Self.mode(path) != nil && listener.rawValue >= 0)
    }

    /// A connection that does not wait long for its place.
    final class Held {
        let socket: FileDescriptor
        init(_ path: String) throws(Errno) { socket = try LocalSocket.connect(to: path, milliseconds: 20) }
    }

    /// What is no socket is somebody's file: a mistake in `control_socket` does not cost it.
    @Test func anotherFileIsNotReplaced() throws {
        try Data("precious".utf8).write(to: URL(filePath: path))
        #expect(problem() == .addressInUse)
        #expect(try FileDescriptor.readFile(path) == [UInt8]("precious".utf8))
    }

    @Test func aLinkIsNotReplaced() throws {
        let target = "\(folder.path)/target"
        try Data("precious".utf8).write(to: URL(filePath: target))
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
        #expect(problem() == .addressInUse)
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: path) == target)
        #expect(try FileDescriptor.readFile(target) == [UInt8]("precious".utf8))
    }

    @Test func aFolderIsNotReplaced() throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(problem() == .addressInUse)
        #expect(Self.mode(path).map { $0 & S_IFMT } == S_IFDIR)
    }

    @Test func missingFoldersAreMade() throws {
        let deep = "\(folder.path)/a/b/agent.sock"
        let server = try server(deep)
        #expect(Self.mode("\(folder.path)/a").map { $0 & 0o077 } == 0)
        #expect(try isServed(deep))
        server.close()
        #expect(Self.mode(deep) == nil && Self.mode("\(folder.path)/a/b") != nil)
        // Where there is a file no folder can be made.
        try Data().write(to: URL(filePath: "\(folder.path)/file"))
        #expect(problem("\(folder.path)/file/agent.sock") == Errno(rawValue: ENOTDIR))
        #expect(problem("/proc/no/such/agent.sock") == .notFound)
    }

    /// unix(7): 107 bytes and a NUL.
    @Test func theLongestPath() throws {
        let longest = folder.path + "/" + String(repeating: "s", count: 107 - folder.path.utf8.count - 1)
        let server = try server(longest)
        #expect(try isServed(longest))
        server.close()
        #expect(problem(longest + "s") == Errno(rawValue: ENAMETOOLONG))
        #expect(Self.mode(longest + "s") == nil && Self.mode(longest) == nil)
    }
}
