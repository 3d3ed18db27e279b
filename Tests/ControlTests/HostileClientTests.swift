// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import JSON
import Reactor
import TestSupport
import Testing

@Suite("Control: clients that are none")
struct HostileClientTests {
    let rig: Rig

    init() throws { rig = try Rig() }

    /// Somebody else is served as before.
    func expectService() throws {
        let peer = try rig.connect()
        #expect(try rig.ask("another", peer)["result"] == .string("another"))
        #expect(rig.names.last == "another")
    }

    @Test(arguments: [4097, 5000, 100_000])
    func aLineThatIsTooLong(count: Int) throws {
        let peer = try rig.connect()
        peer.send(AnswerTests.request("a"))
        peer.send([UInt8](repeating: 0x20, count: count))
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.count == 2 && named(peer.lines[0]) == "a")
        #expect(refused(peer.lines.last)?.contains("longer than 4096 bytes") == true)
        #expect(rig.names == ["a"])
        try expectService()
    }

    @Test func aLineThatIsJustNotTooLong() throws {
        let peer = try rig.connect()
        let request = AnswerTests.request("a")
        let blanks = String(repeating: " ", count: 4096 - (request.utf8.count - 1))
        for _ in 0..<3 { peer.send(blanks + request) }
        try rig.receive(3, peer)
        #expect(peer.lines.map(named) == ["a", "a", "a"] && !peer.isEnded)
        peer.send(" " + blanks + request)
        try rig.awaitEnd(of: peer)
        #expect(refused(peer.lines.last)?.contains("longer than 4096 bytes") == true)
    }

    static let garbage: [(String, String)] = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "one JSON object"), ("status\n", "one JSON object"),
        ("[]\n", "JSON object"),
        ("{}\n", "has a name"), ("{\"v\":2,\"request\":\"a\"}\n", "version 1"),
        ("\u{16}\u{3}\u{1}\n", "one JSON object"),
        ("\u{0}\n", "one JSON object"), (String(repeating: "[", count: 4000) + "\n", "one JSON object"),
    ]

    /// It is told why, once, and sent away; what it had asked before is answered.
    @Test(arguments: garbage.indices)
    func garbageEndsTheConnection(index: Int) throws {
        let (text, reason) = Self.garbage[index]
        let peer = try rig.connect()
        peer.send(AnswerTests.request("good") + text + AnswerTests.request("after"))
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.count == 2 && named(peer.lines[0]) == "good")
        #expect(refused(peer.lines.last)?.contains(reason) == true, "\(peer.lines)")
        #expect(rig.names == ["good"])
        try expectService()
    }

    @Test func bytesThatAreNoText() throws {
        let peer = try rig.connect()
        peer.send([UInt8](#"{"request":""#.utf8) + [0xff, 0xfe] + [UInt8]("\"}\n".utf8))
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.count == 1 && refused(peer.lines.last) != nil && rig.names.isEmpty)
        try expectService()
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func randomBytes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let peer = try rig.connect()
        let bytes = random.bytes(random.int(1...6000))
        #expect(peer.send(bytes) == bytes.count)
        peer.endSending()
        try rig.awaitEnd(of: peer)
        #expect(peer.lines.count <= 1 && rig.names.isEmpty, "seed \(seed)")
        if let line = peer.lines.first { #expect(refused(line) != nil) }
        try expectService()
    }

    /// A refusal that does not fit into the socket waits there, and nothing else is read meanwhile.
    @Test func aRefusalThatIsNotRead() throws {
        let text = String(repeating: "x", count: 4000)
        rig.reply = { request, _ in .result(.string(request.name == "fill" ? text : request.name)) }
        var fills: Int { rig.names.count { $0 == "fill" } }
        let helper = try rig.connect()
        func turnMuch() throws { for _ in 0..<10 { _ = try rig.ask("turn", helper) } }
        // How many answers fit: the kernel takes one of this size whole or not at all.
        let probe = try rig.connect()
        probe.send(String(repeating: AnswerTests.request("fill"), count: 400))
        var before = -1
        while fills != before {
            before = fills
            try turnMuch()
        }
        let fitting = fills - 1
        try #require((1..<399).contains(fitting))

        let hostile = try rig.connect()
        hostile.send(String(repeating: AnswerTests.request("fill"), count: fitting))
        try rig.run { fills == 2 * fitting + 1 }
        // Until the pace allows several at once again: it is to be refused as soon as it is heard.
        try rig.pause(milliseconds: 100)
        hostile.send("garbage\n")
        var sent = 0
        for _ in 0..<5 {
            for _ in 0..<40 {
                sent += hostile.send([UInt8](repeating: 0x20, count: 64 << 10))
                try rig.reactor.turn(wait: false)
            }
            try turnMuch()
        }
        #expect(sent < 600_000, "the server reads what it will never look at, and keeps it")
        // It still gets what it was told, once it reads.
        try rig.awaitEnd(of: hostile)
        #expect(hostile.lines.count == fitting + 1)
        #expect(refused(hostile.lines.last)?.contains("one JSON object") == true)
    }
}
