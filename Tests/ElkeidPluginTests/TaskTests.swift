// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Testing

/// Tasks from the agent, well-formed, cut up and broken.
@Suite(.timeLimit(.minutes(1)))
struct TaskTests {
    /// By `protoc --encode`.
    private static let example = bytes(
        hex: "2500000008ba27121170726f636573732d636f6c6c6563746f721a077b2261223a317d2204742dc3a9"
    )
    private static let exampleTask = PluginTask(
        dataType: 5050,
        objectName: "process-collector",
        data: "{\"a\":1}",
        token: "t-é"
    )

    private func client(_ agent: AgentSide, maximumTaskSize: Int = 1 << 20) throws -> PluginClient {
        var options = PluginOptions()
        options.maximumTaskSize = maximumTaskSize
        return try PluginClient(descriptors: agent.plugin, options: options)
    }

    private static let wellFormed: [(String, PluginTask)] = [
        (hex(example), exampleTask),
        ("0b000000 08f9ffffffffffffffff01", PluginTask(dataType: -7)),
        ("00000000", PluginTask(dataType: 0)),
        // Another order, repeated fields.
        ("0d000000 220178 0801 220179 0802 120161", PluginTask(dataType: 2, objectName: "a", token: "y")),
        // Unknown fields of each wire type.
        ("16000000 2805 310102030405060708 3a020000 4501020304 0803", PluginTask(dataType: 3)),
    ]

    @Test(arguments: wellFormed)
    func decoding(input: String, expected: PluginTask) throws {
        let agent = try AgentSide()
        let client = try client(agent)
        agent.tasks.write(bytes(hex: input))
        agent.tasks.closeWriter()
        #expect(try client.receive() == expected)
        #expect(try client.receive() == nil)
        #expect(try client.receive() == nil)
        #expect(try client.receive(timeoutMilliseconds: 0) == .endOfAgent)
    }

    /// A frame may come in pieces: cut at every position, with a look in between.
    @Test func everyCut() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        for cut in 1..<Self.example.count {
            agent.tasks.write(Array(Self.example[..<cut]))
            #expect(try client.receive(timeoutMilliseconds: 0) == .timedOut)
            agent.tasks.write(Array(Self.example[cut...]))
            #expect(try client.receive() == Self.exampleTask)
        }
        #expect(try client.receive(timeoutMilliseconds: -1) == .timedOut)
    }

    @Test func manyInOneRead() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        agent.tasks.write((0..<1000).flatMap { _ in Self.example })
        agent.tasks.closeWriter()
        for _ in 0..<1000 { #expect(try client.receive(timeoutMilliseconds: 0) == .task(Self.exampleTask)) }
        #expect(try client.receive() == nil)
    }

    @Test func upToTheLimit() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        let limit = PluginOptions().maximumTaskSize
        // 0x1A and a length of 3 bytes go before the text.
        let size = limit - 4
        let text = [UInt8](repeating: UInt8(ascii: "x"), count: size)
        let head = [0x1A, UInt8(size & 0x7F | 0x80), UInt8(size >> 7 & 0x7F | 0x80), UInt8(size >> 14)]
        let writer = Background { () -> Bool in
            agent.tasks.write(frame(head + text))
            agent.tasks.write([UInt8](frame(head + text + [0]).prefix(1000)))
            return true
        }
        #expect(try client.receive()?.data.utf8.count == size)
        // The stream is lost: the error stays.
        for _ in 0..<2 {
            #expect(throws: PluginError.taskTooLarge(length: limit + 1, limit: limit)) { try client.receive() }
        }
        #expect(writer.value() == true)
    }

    private static let malformed: [(String, PluginError.MalformedTask)] = [
        ("08", .truncated), ("1205616263", .truncated), ("12ffffffffffffffff7f", .truncated),
        ("31010203", .truncated), ("45010203", .truncated), ("80", .truncated),
        ("08ffffffffffffffffffff01", .varintTooLong), ("00", .invalidTag), ("2e00", .invalidTag), ("2b2c", .invalidTag),
        ("8080808010", .invalidTag), ("0a00", .wrongWireType(field: 1)), ("1005", .wrongWireType(field: 2)),
        ("25000000", .wrongWireType(field: 4)), ("1a02c328", .notUTF8(field: 3)), ("2201ff", .notUTF8(field: 4)),
    ]

    @Test(arguments: malformed)
    func malformedTaskIsSkipped(body: String, reason: PluginError.MalformedTask) throws {
        let agent = try AgentSide()
        let client = try client(agent)
        agent.tasks.write(frame(bytes(hex: body)) + Self.example)
        #expect(throws: PluginError.malformedTask(reason)) { try client.receive() }
        #expect(try client.receive() == Self.exampleTask)
    }

    @Test(arguments: [(1, 4), (3, 4), (4, 41), (5, 41), (40, 41)])
    func endInsideATask(received: Int, expected: Int) throws {
        let agent = try AgentSide()
        let client = try client(agent)
        agent.tasks.write(Self.example + Array(Self.example.prefix(received)))
        agent.tasks.closeWriter()
        #expect(try client.receive() == Self.exampleTask)
        #expect(throws: PluginError.incompleteTask(received: received, expected: expected)) { try client.receive() }
        #expect(try client.receive() == nil)
    }

    @Test func aWaitingThreadGetsTheTaskWhenItComes() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        let receiver = Background { try? client.receive() }
        agent.tasks.write(Self.example)
        #expect(receiver.value() == Self.exampleTask)
    }

    /// Each frame yields exactly one task or one error, whatever is in it.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func randomBodies(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let bodies = (0..<2000).map { (_) -> [UInt8] in
            var body = Array(Self.example.dropFirst(4))
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let index = body.indices.randomElement(using: &generator) ?? 0
                switch Int.random(in: 0...3, using: &generator) {
                case 0 where !body.isEmpty: body.remove(at: index)
                case 1 where !body.isEmpty: body.removeSubrange(index...)
                case 2: body.insert(UInt8(truncatingIfNeeded: generator.next()), at: index)
                default: body = body.map { $0 ^ (generator.next() % 16 == 0 ? UInt8(truncatingIfNeeded: $0 &+ 77) : 0) }
                }
            }
            return body
        }
        let agent = try AgentSide()
        let client = try client(agent)
        let writer = Background { () -> Bool in
            for body in bodies { agent.tasks.write(frame(body)) }
            agent.tasks.closeWriter()
            return true
        }
        var tasks = 0
        var malformed = 0
        receiving: while true {
            do {
                guard try client.receive() != nil else { break receiving }
                tasks += 1
            } catch PluginError.malformedTask {
                malformed += 1
            }
        }
        #expect(tasks + malformed == bodies.count)
        #expect(tasks > 0 && malformed > 0)
        #expect(writer.value() == true)
    }

    /// Bytes without any frame end in an error or at the end of the pipe.
    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func randomStreams(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let agent = try AgentSide()
        let client = try client(agent)
        // Lengths are small now and then, so that some bodies are looked at.
        let input = (0..<4096).map { (_) in
            generator.next() % 4 == 0 ? UInt8(truncatingIfNeeded: generator.next()) : 0
        }
        agent.tasks.write(input)
        agent.tasks.closeWriter()
        var last: PluginError?
        var ended = false
        for _ in 0...input.count where !ended {
            do {
                ended = try client.receive() == nil
            } catch PluginError.malformedTask {
                continue
            } catch {
                last = error
                ended = true
            }
        }
        #expect(ended)
        switch last {
        case nil, .incompleteTask, .taskTooLarge: break
        case let error?: Issue.record("\(error)")
        }
    }
}
