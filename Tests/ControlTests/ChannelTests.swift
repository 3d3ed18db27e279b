// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import Foundation
import JSON
import Reactor
import Syscalls
import TestSupport
import Testing

@Suite("Control: the blocking end of the channel")
struct ChannelTests {
    typealias Failure = ControlChannel.Failure

    let rig: Rig

    init() throws { rig = try Rig() }

    /// Asks several times over one connection.
    static func ask(
        _ path: String,
        _ requests: [ControlRequest],
        patience: Int = 20_000
    ) -> [Result<JSONValue, Failure>] {
        do throws(Failure) {
            var channel = try ControlChannel(path: path, milliseconds: patience)
            var results: [Result<JSONValue, Failure>] = []
            for request in requests {
                do throws(Failure) { results.append(.success(try channel.ask(request))) } catch {
                    results.append(.failure(error))
                }
            }
            return results
        } catch {
            return [.failure(error)]
        }
    }

    @Test func asksAndIsAnswered() throws {
        let path = rig.path
        let large = String(repeating: "ü", count: 1 << 20)
        rig.reply = { request, _ in
            switch request.name {
            case "refuse": .refusal("because")
            case "large": .result(.string(large))
            default: .result(request.arguments["n"] ?? .null)
            }
        }
        let results = try rig.inThread {
            Self.ask(
                path,
                [
                    ControlRequest("a", ["n": .integer(5)]), ControlRequest("refuse"), ControlRequest("large"),
                    ControlRequest("b"),
                ]
            )
        }
        #expect(
            results == [
                .success(.integer(5)), .failure(.refused("because")), .success(.string(large)), .success(.null),
            ]
        )
        #expect(rig.names == ["a", "refuse", "large", "b"] && rig.clients.count == 1)
    }

    @Test func aRequestThatIsTooLong() throws {
        let path = rig.path
        let long = ControlRequest("a", ["x": .string(String(repeating: "x", count: 5000))])
        let results = try rig.inThread { Self.ask(path, [long, ControlRequest("b")]) }
        #expect(results.count == 2 && results.last == .failure(.ended))
        guard case .failure(.refused(let reason)) = results[0] else {
            Issue.record("\(results)")
            return
        }
        #expect(reason.contains("4096"))
    }

    @Test func events() throws {
        let path = rig.path
        var listener: ControlClient?
        // Not before the answer.
        let later = rig.reactor.makeTimer {
            for number in 0..<3 { listener?.send([UInt8]("{\"event\":\(number)}\n".utf8)) }
        }
        rig.reply = { _, client in
            client.isListening = true
            listener = client
            later.arm(after: .zero)
            return .result(.null)
        }
        let numbers = try rig.inThread { () -> [Int64?] in
            guard var channel = try? ControlChannel(path: path, milliseconds: 20_000),
                (try? channel.ask(ControlRequest("listen"))) != nil
            else { return [] }
            return (0..<3).map { _ in (try? channel.next(milliseconds: 20_000))?["event"]?.integer }
        }
        #expect(numbers == [0, 1, 2])
        rig.reply = { request, _ in .result(.string(request.name)) }
    }

    /// Nothing comes: nil, and the connection is good for more.
    @Test func nothingComes() throws {
        let path = rig.path
        let found = try rig.inThread { () -> [String] in
            guard var channel = try? ControlChannel(path: path, milliseconds: 20_000) else { return ["no connection"] }
            do throws(Failure) {
                let first = try channel.next(milliseconds: 1)
                let second = try channel.ask(ControlRequest("a"))
                return ["\(first == nil)", "\(second == .string("a"))"]
            } catch {
                return ["\(error)"]
            }
        }
        #expect(found == ["true", "true"])
    }

    // MARK: Others than the agent

    @Test func nobodyListens() throws {
        let folder = try Folder()
        let path = "\(folder.path)/s"
        #expect(Self.ask(path, []) == [.failure(.notRunning(path: path, .notFound))])
        do { _ = try LocalSocket.listen(at: path) }
        let refused = Errno(rawValue: ECONNREFUSED)
        #expect(Self.ask(path, []) == [.failure(.notRunning(path: path, refused))])
        let long = "/" + String(repeating: "x", count: 107)
        #expect(Self.ask(long, []) == [.failure(.notRunning(path: long, Errno(rawValue: ENAMETOOLONG)))])
        #expect(Failure.notRunning(path: path, refused).description.contains(path))
    }

    /// Somebody listens and never answers.
    @Test func nobodyAnswers() throws {
        let folder = try Folder()
        let listener = try LocalSocket.listen(at: "\(folder.path)/s")
        #expect(Self.ask("\(folder.path)/s", [ControlRequest("a")], patience: 20) == [.failure(.noAnswer)])
        // A line that is never complete is none.
        let result = try Self.answered(by: ["{\"ok\":true"], staysOpen: true, patience: 20)
        #expect(result == .failure(.noAnswer) && listener.rawValue >= 0)
    }

    /// What a listener of another kind says, in pieces, and what it is taken for.
    static func answered(
        by pieces: [String],
        staysOpen: Bool,
        patience: Int = 20_000
    ) throws -> Result<JSONValue, Failure>? {
        let folder = try Folder()
        let path = "\(folder.path)/s"
        let listener = try LocalSocket.listen(at: path).release()
        let gate = DispatchSemaphore(value: 0)
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            let listener = FileDescriptor(owning: listener)
            if listener.waitReadable(milliseconds: 20_000), let socket = try? listener.accept() {
                // Not before the request is there: to close with something unread is a reset.
                _ = socket.waitReadable(milliseconds: 20_000)
                var request: [UInt8] = []
                try? socket.readChunk(appendingTo: &request, capacity: 4096)
                for piece in pieces { _ = [UInt8](piece.utf8).withBytes { socket.send($0) } }
                if staysOpen { gate.wait() }
            }
            ended.signal()
        }
        let result = ask(path, [ControlRequest("a")], patience: patience).last
        gate.signal()
        ended.wait()
        return result
    }

    @Test func anAnswerInPieces() throws {
        let text = "{\"ok\":true,\"result\":\"a\\nb\"}\n"
        #expect(try Self.answered(by: text.map(String.init), staysOpen: true) == .success(.string("a\nb")))
        #expect(try Self.answered(by: [text + text], staysOpen: false) == .success(.string("a\nb")))
    }

    @Test(arguments: [[], [""], ["{\"ok\":true}"], ["{"]])
    func itEndsWithoutAnAnswer(pieces: [String]) throws {
        #expect(try Self.answered(by: pieces, staysOpen: false) == .failure(.ended))
    }

    @Test(arguments: [
        "HTTP/1.1 400 Bad Request\r\n", "\n", "[]\n", "{}\n", "{\"ok\":1}\n", "{\"ok\":true} {}\n", "\u{0}\n",
    ])
    func answersOfAnotherKind(text: String) throws {
        let result = try Self.answered(by: [text], staysOpen: true)
        guard case .failure(.malformed(let what))? = result else {
            Issue.record("\(String(describing: result))")
            return
        }
        #expect(!what.isEmpty && !Failure.malformed(what).description.contains("\n"))
    }
}
