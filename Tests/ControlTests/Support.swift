// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import Foundation
import Glibc
import JSON
import Reactor
import Synchronization
import Syscalls
import TestSupport
import Testing

/// A folder of a test's own.
final class Folder: Sendable {
    /// Short: a socket's path has 107 bytes.
    let path = "/tmp/elkeid-control-\(UUID().uuidString.prefix(13))"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// What was waited for did not happen.
struct Stuck: Error {}

/// A control server on its loop, which the test turns by hand.
final class Rig: ControlHandler {
    let reactor: Reactor
    let folder: Folder
    let path: String
    private(set) var server: ControlServer?
    /// What was asked, in order.
    private(set) var names: [String] = []
    /// Whoever asked, once each.
    private(set) var clients: [ControlClient] = []
    var reply: (ControlRequest, ControlClient) -> ControlAnswer = { request, _ in .result(.string(request.name)) }
    private var isStuck = false

    init() throws {
        reactor = try Reactor()
        folder = try Folder()
        path = "\(folder.path)/run/agent.sock"
        server = try ControlServer(path: path, reactor: reactor, handler: self)
    }

    deinit { server?.close() }

    func answer(_ request: ControlRequest, of client: ControlClient) -> ControlAnswer {
        names.append(request.name)
        if !clients.contains(where: { $0 === client }) { clients.append(client) }
        return reply(request, client)
    }

    func connect() throws -> Peer { try Peer(path) }

    /// Turns the loop until `condition` holds; nothing but what is under way may be needed for that.
    func run(until condition: () throws -> Bool) throws {
        isStuck = false
        // Not to time anything: a test that fails is to end.
        let watchdog = reactor.makeTimer { [unowned self] in self.isStuck = true }
        watchdog.arm(after: .seconds(100))
        defer { watchdog.cancel() }
        while try !condition() {
            if isStuck { throw Stuck() }
            try reactor.turn(wait: true)
        }
    }

    /// Turns for so long.
    func pause(milliseconds: Int64) throws {
        var isOver = false
        let timer = reactor.makeTimer { isOver = true }
        timer.arm(after: .milliseconds(milliseconds))
        try run { isOver }
    }

    /// Asks, and waits for the answer.
    func ask(_ name: String, _ peer: Peer) throws -> JSONValue {
        let before = peer.lines.count
        peer.send(ControlRequest(name).line)
        try run { peer.receive() > before || peer.isEnded }
        return try JSONValue(parsing: [UInt8](try #require(peer.lines.dropFirst(before).first).utf8))
    }

    /// Turns until the peer has so many lines.
    func receive(_ count: Int, _ peer: Peer) throws { try run { peer.receive() >= count || peer.isEnded } }

    func awaitEnd(of peer: Peer) throws {
        try run {
            peer.receive()
            return peer.isEnded
        }
    }

    /// Runs `body`, which may block, in another thread, while the loop turns.
    func inThread<R: Sendable>(_ body: @escaping @Sendable () -> R) throws -> R {
        let ended = Wakeup()
        var pipe = try Pipe(nonBlockingRead: true)
        let source = reactor.watch(try take(&pipe.read), for: .read, handler: ended)
        defer { source.close() }
        let result = Slot<R>()
        let end = try take(&pipe.write).release()
        Thread.detachNewThread {
            let value = body()
            result.value.withLock { $0 = value }
            _ = FileDescriptor(owning: end)
        }
        try run { ended.isAwake }
        return try #require(result.value.withLock { $0 })
    }
}

private final class Wakeup: ReadinessHandler {
    private(set) var isAwake = false
    func handle(_ readiness: Readiness, of source: Source) { isAwake = true }
}

private final class Slot<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
}

/// A client that does what no honest one would. It never blocks.
final class Peer {
    private let socket: FileDescriptor
    private var input = LineBuffer(limit: 64 << 20)
    private(set) var lines: [String] = []
    private(set) var isEnded = false

    init(_ path: String) throws {
        socket = try LocalSocket.connect(to: path, milliseconds: 5000)
        try socket.setNonBlocking()
    }

    /// Sends what the kernel takes of it, and says how much.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Int {
        guard case .bytes(let count) = bytes.withBytes({ socket.send($0) }) else { return 0 }
        return count
    }

    func send(_ text: String) { #expect(send([UInt8](text.utf8)) == text.utf8.count) }

    /// Says that nothing more comes.
    func endSending() { #expect(shutdown(socket.rawValue, CInt(SHUT_WR)) == 0) }

    /// Takes what is there: how many lines are there now?
    @discardableResult
    func receive(atMost limit: Int = .max) -> Int {
        var bytes: [UInt8] = []
        do {
            var before = -1
            while bytes.count != before, bytes.count < limit {
                before = bytes.count
                try socket.readChunk(appendingTo: &bytes, capacity: min(64 << 10, limit))
            }
            isEnded = bytes.count == before
        } catch {
            isEnded = error != .again
        }
        bytes.withBytes { input.append($0) }
        while let line = try? input.next() { lines.append(String(decoding: line, as: UTF8.self)) }
        return lines.count
    }

    /// Bytes of a line that is not complete.
    var rest: Int { input.count }
}

/// The name that an answer repeats.
func named(_ line: String) -> String? { try? JSONValue(parsing: [UInt8](line.utf8))["result"]?.string }

/// The reason of a refusal.
func refused(_ line: String?) -> String? {
    guard let line,
        case .refusal(let reason)? = (try? JSONValue(parsing: [UInt8](line.utf8))).flatMap(ControlAnswer.init)
    else { return nil }
    return reason
}
