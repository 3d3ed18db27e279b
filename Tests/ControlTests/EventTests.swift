// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import JSON
import Reactor
import Testing

@Suite("Control: events to a client that listens")
struct EventTests {
    let rig: Rig

    init() throws {
        rig = try Rig()
        rig.reply = { request, client in
            if request.name == "listen" { client.isListening = true }
            return .result(.string(request.name))
        }
    }

    /// A peer that listens, and its client.
    func listening() throws -> (Peer, ControlClient) {
        let peer = try rig.connect()
        #expect(try rig.ask("listen", peer)["result"] == .string("listen"))
        return (peer, try #require(rig.clients.last))
    }

    static func event(_ number: Int, padding: Int = 0) -> [UInt8] {
        [UInt8]("{\"event\":\(number),\"padding\":\"\(String(repeating: "x", count: padding))\"}\n".utf8)
    }

    static func number(_ line: String) -> Int64? { try? JSONValue(parsing: [UInt8](line.utf8))["event"]?.integer }

    @Test func eventsComeInOrder() throws {
        let (peer, client) = try listening()
        #expect(client.isOpen && client.hasRoom)
        for number in 0..<100 { client.send(Self.event(number)) }
        try rig.receive(101, peer)
        #expect(peer.lines.dropFirst().map(Self.number) == (0..<100).map { $0 })
        // It may still ask, and gets the answer between the events.
        client.send(Self.event(100))
        #expect(try rig.ask("more", peer)["event"] == .integer(100))
        try rig.receive(103, peer)
        #expect(named(peer.lines[102]) == "more")
    }

    /// A client that does not read has no room; once it reads it gets all that was sent, and has room again.
    @Test func roomIsWhatTheClientHasRead() throws {
        let (peer, client) = try listening()
        var sent = 0
        while client.hasRoom {
            client.send(Self.event(sent, padding: 1000))
            sent += 1
            try #require(sent < 10_000, "room without end")
        }
        #expect(client.isOpen && sent > 256)
        // Nothing changes while it does not read.
        let other = try rig.connect()
        for round in 0..<5 { _ = try rig.ask("\(round)", other) }
        #expect(!client.hasRoom && client.isOpen)
        // Its requests wait as long.
        peer.send(AnswerTests.request("waiting"))
        _ = try rig.ask("turn", other)
        #expect(!rig.names.contains("waiting"))
        try rig.receive(sent + 2, peer)
        #expect(peer.lines.dropFirst().dropLast().map(Self.number) == (0..<sent).map { Int64($0) })
        #expect(named(try #require(peer.lines.last)) == "waiting" && client.hasRoom)
    }

    @Test func theEndIsToldOnce() throws {
        var ends: [Int] = []
        var peers: [Peer] = []
        for number in 0..<3 {
            let (peer, client) = try listening()
            client.onClosed = { ends.append(number) }
            peers.append(peer)
        }
        // By the agent.
        rig.clients[1].close()
        rig.clients[1].close()
        #expect(ends == [1] && !rig.clients[1].isOpen && !rig.clients[1].hasRoom)
        try rig.awaitEnd(of: peers[1])
        // What is sent afterwards goes nowhere.
        rig.clients[1].send(Self.event(1))
        // By the peer, which just goes: nobody has to send anything for that to be noticed.
        peers.remove(at: 0)
        try rig.run { ends.contains(0) }
        #expect(ends == [1, 0] && !rig.clients[0].isOpen)
        // By the end of the server.
        rig.server?.close()
        #expect(ends == [1, 0, 2])
        try rig.awaitEnd(of: peers[1])
    }

    /// A handler may close the client that asks, or the whole server.
    @Test(arguments: [false, true])
    func closingWithinAnAnswer(all: Bool) throws {
        let bystander = try rig.connect()
        _ = try rig.ask("first", bystander)
        rig.reply = { [unowned rig] request, client in
            if all { rig.server?.close() } else { client.close() }
            return .result(.null)
        }
        let peer = try rig.connect()
        peer.send(AnswerTests.request("a") + AnswerTests.request("b"))
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.isEmpty && rig.names == ["first", "a"])
        rig.reply = { request, _ in .result(.string(request.name)) }
        if all { try rig.awaitEnd(of: bystander) } else { _ = try rig.ask("there", bystander) }
    }

    /// Whether one that says nothing more is still there nobody could tell: it gets its answers and what is under way.
    @Test(arguments: [false, true])
    func aHalfClosedClientHearsNoEvents(atOnce: Bool) throws {
        let peer = try rig.connect()
        var ends = 0
        rig.reply = { request, client in
            client.isListening = true
            client.onClosed = { ends += 1 }
            client.send(Self.event(1))
            return .result(.string(request.name))
        }
        if !atOnce { _ = try rig.ask("listen", peer) }
        peer.send(AnswerTests.request("a") + AnswerTests.request("b"))
        peer.endSending()
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.compactMap(named).suffix(2) == ["a", "b"])
        #expect(ends == 1 && rig.clients.allSatisfy { !$0.isOpen })
    }

    /// It does not read what it was sent, and says nothing more either: that is waited for, and not asked for again and
    /// again.
    @Test(arguments: [false, true])
    func aHalfClosedClientThatDoesNotRead(hasRoom: Bool) throws {
        let (peer, client) = try listening()
        for _ in 0..<(hasRoom ? 220 : 2000) where client.hasRoom { client.send(Self.event(0, padding: 1000)) }
        client.send(Self.event(1))
        #expect(client.hasRoom == hasRoom)
        let other = try rig.connect()
        _ = try rig.ask("first", other)
        peer.endSending()
        let before = rig.reactor.statistics.events
        for round in 0..<50 { _ = try rig.ask("\(round)", other) }
        #expect(rig.reactor.statistics.events - before < 500, "the loop spins")
        // Once it reads, it gets all of it.
        try rig.awaitEnd(of: peer)
        #expect(Self.number(try #require(peer.lines.last)) == 1 && !client.isOpen)
    }

    @Test func roomForListeners() throws {
        #expect(ControlServer.listenerLimit == 8)
        var peers: [Peer] = []
        for _ in 0..<ControlServer.listenerLimit {
            #expect(rig.server?.hasRoomForListener == true)
            peers.append(try listening().0)
        }
        #expect(rig.server?.hasRoomForListener == false)
        // Those who only ask do not count.
        _ = try rig.ask("a", try rig.connect())
        peers.remove(at: 3)
        try rig.run { rig.server?.hasRoomForListener == true }
    }

    /// To send to one that has gone ends it, and no signal comes.
    @Test func sendingToOneThatHasGone() throws {
        var (peer, client): (Peer?, ControlClient) = try listening()
        var ends = 0
        client.onClosed = { ends += 1 }
        #expect(peer?.isEnded == false)
        peer = nil
        client.send(Self.event(0))
        #expect(!client.isOpen && ends == 1)
        client.send(Self.event(1))
        #expect(ends == 1)
    }
}
