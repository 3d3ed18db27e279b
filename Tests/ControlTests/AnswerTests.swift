// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import JSON
import Reactor
import Testing

@Suite("Control: answers over a real socket")
struct AnswerTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    static func request(_ name: String) -> String { "{\"request\":\"\(name)\"}\n" }

    @Test func aRequestIsAnswered() throws {
        let peer = try rig.connect()
        rig.reply = { request, _ in .result(.object(["n": request.arguments["n"] ?? .null])) }
        peer.send("{\"v\":1,\"request\":\"status\",\"n\":7}\n")
        try rig.receive(1, peer)
        #expect(peer.lines == [#"{"ok":true,"result":{"n":7},"v":1}"#])
        #expect(rig.names == ["status"] && !peer.isEnded)
        rig.reply = { _, _ in .refusal("no") }
        peer.send(Self.request("again"))
        try rig.receive(2, peer)
        #expect(peer.lines.last == #"{"error":"no","ok":false,"v":1}"#)
        // A refusal by the agent is an answer: the connection stays.
        #expect(try rig.ask("third", peer)["ok"] == .bool(false))
    }

    @Test func severalRequestsInOneWrite() throws {
        let peer = try rig.connect()
        let names = ["a", "b", "c", "d", "e"]
        peer.send(names.map(Self.request).joined() + "{\"request\":")
        try rig.receive(5, peer)
        #expect(peer.lines.map(named) == names && rig.names == names)
        peer.send("\"f\"}\n")
        try rig.receive(6, peer)
        #expect(named(try #require(peer.lines.last)) == "f")
    }

    @Test func aRequestByteByByte() throws {
        let peer = try rig.connect()
        for name in ["status", "tail"] {
            let line = [UInt8](Self.request(name).utf8)
            for byte in line.dropLast() {
                #expect(peer.send([byte]) == 1)
                // The byte wakes the loop.
                try rig.reactor.turn(wait: true)
                #expect(rig.names.last != name)
            }
            peer.send("\n")
            try rig.run { rig.names.last == name }
        }
        try rig.receive(2, peer)
        #expect(peer.lines.map(named) == ["status", "tail"])
    }

    @Test func emptyLinesAreNothing() throws {
        let peer = try rig.connect()
        peer.send("\n\n" + Self.request("a") + "\n\n\n" + Self.request("b") + "\n")
        try rig.receive(2, peer)
        #expect(peer.lines.map(named) == ["a", "b"])
        #expect(named(#"{"result":"x"}"#) == "x")
        #expect(try rig.ask("c", peer)["result"] == .string("c"))
    }

    /// As `printf … | nc -N -U` does it: everything is said, and the answers are still to come.
    @Test(arguments: [1, 3, 100])
    func aHalfClosedClientGetsItsAnswers(count: Int) throws {
        let peer = try rig.connect()
        let names = (0..<count).map { "r\($0)" }
        peer.send(names.map(Self.request).joined())
        peer.endSending()
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.map(named) == names && peer.rest == 0)
    }

    /// What has no line feed is no request.
    @Test func aHalfClosedClientThatBrokeOff() throws {
        let peer = try rig.connect()
        peer.send(Self.request("a") + "{\"request\":\"b\"}")
        peer.endSending()
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.map(named) == ["a"] && rig.names == ["a"])
        // One that says nothing at all is sent away as well.
        let silent = try rig.connect()
        silent.endSending()
        try rig.awaitEnd(of: silent)
        #expect(silent.lines.isEmpty)
    }

    /// Large answers come whole, though the kernel takes them in parts.
    @Test func largeAnswers() throws {
        let peer = try rig.connect()
        let text = String(repeating: "0123456789abcdef", count: 200_000)
        rig.reply = { _, _ in .result(.string(text)) }
        peer.send(Self.request("a") + Self.request("b"))
        try rig.receive(2, peer)
        #expect(peer.lines.map(named) == [text, text])
    }

    @Test func clientsDoNotMix() throws {
        let peers = try (0..<8).map { _ in try rig.connect() }
        for round in 0..<3 {
            for (index, peer) in peers.enumerated() { peer.send(Self.request("\(index).\(round)")) }
        }
        for (index, peer) in peers.enumerated() {
            try rig.receive(3, peer)
            #expect(peer.lines.map(named) == (0..<3).map { "\(index).\($0)" })
        }
        #expect(rig.clients.count == 8)
    }

    /// More than the pace allows at once: they come in order all the same, and none is lost.
    @Test func aHundredRequestsAreAnsweredInOrder() throws {
        let peer = try rig.connect()
        let names = (0..<100).map(String.init)
        peer.send(names.map(Self.request).joined())
        try rig.receive(100, peer)
        #expect(peer.lines.map(named) == names && rig.names == names)
        #expect(!peer.isEnded && rig.reactor.statistics.timersFired > 0)
    }

    /// A client that goes away with answers under way does not matter to anybody.
    @Test func aClientThatGoesAway() throws {
        let staying = try rig.connect()
        _ = try rig.ask("first", staying)
        for _ in 0..<10 {
            let peer = try rig.connect()
            peer.send(Self.request("a") + Self.request("b") + "{")
        }
        #expect(try rig.ask("here", staying)["result"] == .string("here"))
        try rig.run { rig.clients.dropFirst().allSatisfy { !$0.isOpen } && rig.names.count >= 12 }
        #expect(rig.clients[0].isOpen)
        #expect(try rig.ask("still", staying)["result"] == .string("still"))
    }

    /// Without anybody to answer the connection ends.
    @Test func nobodyAnswers() throws {
        let folder = try Folder()
        let reactor = try Reactor()
        var handler: Rig? = try Rig()
        let server = try ControlServer(path: "\(folder.path)/s", reactor: reactor, handler: try #require(handler))
        handler = nil
        let peer = try Peer("\(folder.path)/s")
        peer.send(Self.request("a"))
        while !peer.isEnded {
            try reactor.turn(wait: true)
            peer.receive()
        }
        #expect(peer.lines.isEmpty)
        server.close()
    }
}
