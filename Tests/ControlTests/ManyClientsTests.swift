// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Control
import JSON
import Testing

@Suite("Control: more clients than are served, and greedy ones")
struct ManyClientsTests {
    let rig: Rig

    init() throws {
        rig = try Rig()
        rig.reply = { request, client in
            if request.name == "listen" { client.isListening = true }
            return .result(.string(request.name))
        }
    }

    /// Sixteen that have asked, one after the other.
    func sixteen() throws -> [Peer] {
        let peers = try (0..<16).map { _ in try rig.connect() }
        for (index, peer) in peers.enumerated() { _ = try rig.ask("\(index)", peer) }
        for peer in peers {
            peer.receive()
            #expect(!peer.isEnded)
        }
        return peers
    }

    @Test(arguments: [0, 5, 15])
    func theOneThatIsIdleForLongestGoes(oldest: Int) throws {
        let peers = try sixteen()
        // All but one ask again, so that this one is the oldest.
        for (index, peer) in peers.enumerated() where index != oldest { _ = try rig.ask("again", peer) }
        let newcomer = try rig.connect()
        #expect(try rig.ask("new", newcomer)["result"] == .string("new"))
        try rig.awaitEnd(of: peers[oldest])
        for (index, peer) in peers.enumerated() where index != oldest {
            #expect(try rig.ask("there", peer)["result"] == .string("there"), "\(index)")
        }
        #expect(try rig.ask("there", newcomer)["result"] == .string("there"))
    }

    /// Listening clients need not ask for anything, and stay.
    @Test func listeningClientsStay() throws {
        let peers = try sixteen()
        for (index, peer) in peers.enumerated() where index != 9 { _ = try rig.ask("listen", peer) }
        // The only one that does not listen is also the one that did something last.
        _ = try rig.ask("active", peers[9])
        let newcomer = try rig.connect()
        _ = try rig.ask("listen", newcomer)
        try rig.awaitEnd(of: peers[9])
        // Now all listen: there is no place, and nobody has to go.
        let late = try rig.connect()
        try rig.awaitEnd(of: late)
        #expect(late.lines.isEmpty)
        for peer in peers.indices.filter({ $0 != 9 }).map({ peers[$0] }) + [newcomer] {
            #expect(try rig.ask("there", peer)["result"] == .string("there"))
        }
        #expect(rig.clients.filter(\.isOpen).count == 16)
    }

    /// A place that was given up is another's, also when it was a listening client's.
    @Test func aPlaceIsFreeWhenItsClientHasGone() throws {
        var peers = try sixteen()
        for peer in peers { _ = try rig.ask("listen", peer) }
        peers.removeLast()
        try rig.run { rig.clients.filter(\.isOpen).count < 16 }
        let newcomer = try rig.connect()
        #expect(try rig.ask("new", newcomer)["result"] == .string("new"))
        for peer in peers { #expect(try rig.ask("there", peer)["result"] == .string("there")) }
    }

    /// It is answered into its own buffer, and no further; the others do not notice.
    @Test func aClientThatNeverReads() throws {
        let text = String(repeating: "x", count: 64 << 10)
        rig.reply = { request, _ in .result(.string(request.name == "flood" ? text : request.name)) }
        let greedy = try rig.connect()
        let other = try rig.connect()
        var sent = 0
        var answered: [Int] = []
        let flood = [UInt8]((0..<500).map { _ in AnswerTests.request("flood") }.joined().utf8)
        for round in 0..<30 {
            // The kernel takes it in parts: each write goes on where the last one ended.
            while true {
                let count = greedy.send([UInt8](flood[(sent % flood.count)...]))
                if count == 0 { break }
                sent += count
            }
            #expect(try rig.ask("\(round)", other)["result"] == .string("\(round)"))
            answered.append(rig.names.count { $0 == "flood" })
        }
        #expect(answered[29] == answered[10], "answered without end")
        #expect((1...16).contains(answered[29]), "not beyond what fits into the socket")
        let requests = sent / AnswerTests.request("flood").utf8.count
        #expect(requests > answered[29] + 1000 && rig.names.count == answered[29] + 30)

        // Once it reads, it gets what it asked for.
        try rig.receive(answered[29] + 10, greedy)
        #expect(greedy.lines.allSatisfy { named($0) == text })
        #expect(rig.names.count { $0 == "flood" } >= answered[29] + 10)
    }

    /// One that asks as fast as it can takes all that the pace allows; another one's single request has its turn.
    @Test func aFloodDoesNotKeepOthersFromBeingAnswered() throws {
        let greedy = try rig.connect()
        let other = try rig.connect()
        _ = try rig.ask("first", other)
        let flood = [UInt8]((0..<2000).map { _ in AnswerTests.request("flood") }.joined().utf8)
        let taken = greedy.send(flood)
        #expect(taken >= 1000 * AnswerTests.request("flood").utf8.count)
        // Beyond the burst, so that both have to wait for their turn.
        try rig.receive(30, greedy)
        for round in 0..<5 {
            let before = rig.names.count
            let lines = other.lines.count
            other.send(AnswerTests.request("\(round)"))
            try rig.run {
                greedy.receive()
                return other.receive() > lines || rig.names.count > before + 50
            }
            #expect(other.lines.count > lines, "50 requests of the other client came before it")
        }
    }
}
