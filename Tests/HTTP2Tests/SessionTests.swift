// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import HTTP2
import TestSupport
import Testing

@Suite("HTTP/2 sessions, joined in memory")
struct SessionTests {
    @Test(arguments: [1, 7, 1000, Int.max])
    func requestAnswerAndTrailers(piece: Int) throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try converse(client, server, piece: piece)
        #expect(client.takeLog().contains("settings") && server.takeLog().contains("settings"))

        let stream = try client.session.request(request)
        stream.append(chain([1, 2, 3]))
        try converse(client, server, piece: piece)
        #expect(server.takeLog() == ["1: \(requestText)"])
        #expect(server.bodies[1] == [1, 2, 3] && stream.framedBytes == 3 && stream.pendingBytes == 0)
        #expect(client.session.streamCount == 1 && server.session.streamCount == 1)
        #expect(client.session.stream(1) === stream && client.session.stream(3) == nil)

        let theirs = try #require(server.streams.first)
        try server.session.respond(to: theirs, [HTTP2Header(":status", "200")], body: true)
        theirs.append(chain([9, 8]))
        try converse(client, server, piece: piece)
        #expect(client.takeLog() == ["1: :status=200"] && client.bodies[1] == [9, 8])

        stream.append(chain([4]))
        stream.finish()
        try converse(client, server, piece: piece)
        #expect(server.takeLog() == ["1: ended"] && server.bodies[1] == [1, 2, 3, 4])

        theirs.append(chain([7]))
        theirs.finish(trailers: [HTTP2Header("grpc-status", "0"), HTTP2Header("grpc-message", "")])
        try converse(client, server, piece: piece)
        #expect(client.takeLog() == ["1: grpc-status=0 grpc-message= end", "1: closed NO_ERROR"])
        #expect(client.bodies[1] == [9, 8, 7])
        #expect(server.takeLog() == ["1: closed NO_ERROR"])
        #expect(
            stream.isClosed && theirs.isClosed && client.session.streamCount == 0 && server.session.streamCount == 0
        )
    }

    /// gRPC's answer when a call fails at once: one HEADERS frame that is also the end.
    @Test func trailersOnly() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        server.onHeaders = { [unowned server] stream in
            let headers = [HTTP2Header(":status", "200"), HTTP2Header("grpc-status", "12")]
            #expect(throws: Never.self) { try server.session.respond(to: stream, headers, body: false) }
        }
        let stream = try client.session.request(request)
        let frames = try converse(client, server)
        #expect(client.log.contains("1: :status=200 grpc-status=12 end"))
        let answer = frames.server.filter { $0.stream == 1 && $0.kind == .headers }
        #expect(answer.count == 1 && answer.first?.endsStream == true)
        #expect(!stream.isClosed, "our own half is still open")
        stream.finish()
        try converse(client, server)
        #expect(stream.isClosed && client.log.last == "1: closed NO_ERROR")
    }

    @Test func requestWithoutABody() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try client.session.request(request).finish()
        try converse(client, server)
        #expect(server.log.filter { $0.hasPrefix("1:") } == ["1: \(requestText)", "1: ended"])
        #expect(server.bodies[1] == nil)
    }

    @Test func streamsHaveOddNumbersInOrder() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        let ids = try (0..<3).map { _ in try client.session.request(request).id }
        #expect(ids == [1, 3, 5])
        try converse(client, server)
        #expect(server.streams.map(\.id) == [1, 3, 5])
    }

    // MARK: Large bodies and windows

    /// Each full DATA frame fills a TLS record together with its header, and nothing of the body is lost or moved.
    @Test(arguments: [64 << 10, 1 << 20, 10 << 20], [1, 300_000])
    func largeBodyInFullFrames(_ window: Int, _ capacity: Int) throws {
        let client = try Peer(.client, window: window)
        let server = try Peer(.server, window: window)
        client.capacity = capacity
        try converse(client, server)
        let body = [UInt8].pattern(3 << 20)
        let stream = try client.session.request(request)
        stream.append(chain(body))
        stream.finish()
        let frames = try converse(client, server)
        let same = areEqual(server.bodies[1] ?? [], body)
        #expect(same && stream.framedBytes == 3 << 20 && stream.isClosed == false)
        let data = frames.client.filter { $0.kind == .data }
        #expect(data.allSatisfy { $0.payload.count <= HTTP2Session.fullFrame })
        #expect(HTTP2Session.fullFrame == 16_375)
        #expect(data.last?.endsStream == true && data.dropLast().allSatisfy { !$0.endsStream })
        // A frame is shorter only where a window or the body ends.
        let short = data.filter { $0.payload.count < 16_375 }
        #expect(short.count <= (window >= 3 << 20 ? 1 : 2 * (3 << 20) / window + 65))
        if window >= 3 << 20 { #expect(data.count == (3 << 20) / 16_375 + 1) }
    }

    /// The sender stops at the window, of the stream and of the connection, and goes on when it is given back.
    @Test func manualWindow() throws {
        let window = 100_000
        let client = try Peer(.client)
        let server = try Peer(.server, window: window, manual: true)
        try converse(client, server)
        let body = [UInt8].pattern(350_000)
        let stream = try client.session.request(request)
        stream.append(chain(body))
        try converse(client, server)
        #expect(server.held == window && stream.pendingBytes == body.count - window)
        #expect(client.session.sendWindow(of: stream) == (stream: 0, connection: 0))
        #expect(!client.session.wantsToWrite, "nothing to do until window comes back")
        client.feedNothing()
        _ = client.takeLog()

        // nghttp2 gives window back once half of it has been consumed.
        server.session.consume(10_000, on: 1)
        try converse(client, server)
        #expect(stream.pendingBytes == body.count - window)
        server.session.consume(window - 10_000, on: 1)
        try converse(client, server)
        #expect(stream.pendingBytes == body.count - 2 * window)
        let updates = client.takeLog()
        #expect(Set(updates) == ["0: window +\(window)", "1: window +\(window)"])
        for _ in 0..<2 {
            server.session.consume(window, on: 1)
            try converse(client, server)
        }
        #expect(stream.pendingBytes == 0 && stream.framedBytes == UInt64(body.count))
        #expect(server.bodies[1] == body)
    }

    /// The connection's window is shared; a stream's own window holds only itself.
    @Test func twoStreamsAndTheirWindows() throws {
        let window = 80_000
        let client = try Peer(.client)
        let server = try Peer(.server, window: window, manual: true)
        try converse(client, server)
        let streams = try (0..<2).map { _ in try client.session.request(request) }
        for stream in streams { stream.append(chain([UInt8](repeating: UInt8(stream.id), count: 60_000))) }
        try converse(client, server)
        let received = [1, 3].map { server.bodies[$0]?.count ?? 0 }
        #expect(received.reduce(0, +) == window, "the connection's window")
        #expect(client.session.sendWindow(of: streams[0]).connection == 0)
        #expect(client.session.sendWindow(of: streams[0]).stream == window - received[0])
        server.session.consume(received[0], on: 1)
        server.session.consume(received[1], on: 3)
        try converse(client, server)
        #expect([1, 3].map { server.bodies[$0]?.count } == [60_000, 60_000])
        #expect(server.bodies[1]?.allSatisfy { $0 == 1 } == true && server.bodies[3]?.allSatisfy { $0 == 3 } == true)
    }

    /// A sink without room is not written to; what is left comes later, in order.
    @Test func sinkWithoutRoom() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try converse(client, server)
        let body = [UInt8].pattern(200_000)
        let stream = try client.session.request(request)
        stream.append(chain(body))
        client.capacity = 0
        #expect(try client.take() == [])
        client.capacity = 1
        var rounds = 0
        while stream.pendingBytes > 0 {
            let bytes = try client.take()
            #expect(Frame.parse(bytes).count == 1, "one frame at a time")
            try server.feed(bytes)
            _ = try server.take()
            rounds += 1
        }
        #expect(server.bodies[1] == body && rounds == 200_000 / 16_375 + 2)
    }

    /// Bytes leave the chain as they are framed, so that their slabs are free.
    @Test func framedBytesAreReleased() throws {
        let pool = SlabPool(slabSize: 16 << 10)
        let arena = Arena(pool: pool)
        let client = try Peer(.client)
        let server = try Peer(.server, window: 10 << 20)
        try converse(client, server)
        let stream = try client.session.request(request)
        for _ in 0..<20 {
            var part = BufferChain()
            [UInt8].pattern(60_000).withBytes { arena.append($0, to: &part) }
            stream.append(part)
            part.removeAll()
            try converse(client, server)
            #expect(stream.pendingBytes == 0 && pool.outstanding == 1, "the arena's own")
        }
        #expect(stream.framedBytes == 1_200_000)
    }

    // MARK: Ends

    @Test func resetByTheServer() throws {
        let pool = SlabPool(slabSize: 16 << 10)
        let client = try Peer(.client)
        let server = try Peer(.server, window: 65_535, manual: true)
        try converse(client, server)
        let stream = try client.session.request(request)
        do {
            let arena = Arena(pool: pool)
            var body = BufferChain()
            [UInt8].pattern(200_000).withBytes { arena.append($0, to: &body) }
            stream.append(body)
        }
        try converse(client, server)
        #expect(pool.outstanding > 0)
        let theirs = try #require(server.streams.first)
        theirs.reset(.enhanceYourCalm)
        try converse(client, server)
        #expect(client.log.last == "1: closed ENHANCE_YOUR_CALM" && server.log.last == "1: closed ENHANCE_YOUR_CALM")
        #expect(stream.isClosed && stream.pendingBytes == 0 && pool.outstanding == 0, "what was not sent is let go")
        #expect(client.session.streamCount == 0)
        // The connection goes on.
        _ = try client.session.request(request)
        try converse(client, server)
        #expect(server.streams.count == 2)
    }

    @Test func resetByTheClient() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        let stream = try client.session.request(request)
        stream.append(chain([1]))
        try converse(client, server)
        stream.reset()
        try converse(client, server)
        #expect(server.log.last == "1: closed CANCEL" && client.log.last == "1: closed CANCEL")
    }

    @Test func goAwayRefusesNewStreamsAndFinishesOldOnes() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        let stream = try client.session.request(request)
        try converse(client, server)
        server.session.goAway(.noError)
        try converse(client, server)
        #expect(client.takeLog().last == "goaway 1 NO_ERROR ")
        #expect(!client.session.isFinished, "the old stream goes on")
        stream.append(chain([5]))
        try converse(client, server)
        #expect(server.bodies[1] == [5])

        let refused = try client.session.request(request)
        try converse(client, server)
        #expect(refused.isClosed && client.takeLog().contains { $0.hasPrefix("3: closed ") })
        #expect(server.streams.count == 1)

        let theirs = try #require(server.streams.first)
        try server.session.respond(to: theirs, [HTTP2Header(":status", "200")], body: false)
        stream.finish()
        try converse(client, server)
        #expect(stream.isClosed && client.session.isFinished)
    }

    @Test func goAwayWithAReason() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try converse(client, server)
        try client.feed(Frame.bytes(7, [0, 0, 0, 0, 0, 0, 0, 11] + [UInt8]("too_many_pings".utf8)))
        #expect(client.log.last == "goaway 0 ENHANCE_YOUR_CALM too_many_pings")
        #expect(client.session.isFinished)
    }

    @Test func pings() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try converse(client, server)
        _ = client.takeLog()
        client.session.ping(0x0102_0304_0506_0708)
        client.session.ping(.max)
        let frames = try converse(client, server)
        #expect(client.takeLog() == ["ping \(0x0102_0304_0506_0708)", "ping \(UInt64.max)"])
        #expect(frames.client.map(\.payload) == [[1, 2, 3, 4, 5, 6, 7, 8], [UInt8](repeating: 255, count: 8)])
        #expect(server.log.allSatisfy { !$0.hasPrefix("ping") }, "answered without a word")
    }

    /// PING is serialised ahead of queued DATA: its acknowledgement says that what was framed before has been read.
    @Test func pingOvertakesQueuedData() throws {
        let client = try Peer(.client)
        let server = try Peer(.server)
        try converse(client, server)
        let stream = try client.session.request(request)
        stream.append(chain([UInt8].pattern(40_000)))
        client.session.ping(1)
        let kinds = try Frame.parse(client.take()).map(\.kind)
        let ping = try #require(kinds.firstIndex(of: .ping))
        #expect(ping < (kinds.firstIndex(of: .data) ?? 0))
    }

    @Test func concurrentStreamsAreLimitedByThePeer() throws {
        let client = try Peer(.client)
        let server = try Peer(.server, streams: 2)
        try converse(client, server)
        let streams = try (0..<4).map { _ in try client.session.request(request) }
        try converse(client, server)
        #expect(server.streams.map(\.id) == [1, 3])
        streams[0].reset()
        try converse(client, server)
        #expect(server.streams.map(\.id) == [1, 3, 5])
    }
}

extension Peer {
    /// An empty read is no event.
    fileprivate func feedNothing() { #expect(throws: Never.self) { try feed([]) } }
}
