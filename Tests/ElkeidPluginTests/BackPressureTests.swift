// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Testing

/// The policy that drops instead of waiting.
@Suite(.timeLimit(.minutes(1)))
struct BackPressureTests {
    private static let never = Int.max

    private func client(_ agent: AgentSide, closeTimeoutMilliseconds: Int = never) throws -> PluginClient {
        var options = PluginOptions()
        options.backPressure = .dropNewest
        options.bufferSize = 1000
        options.flushIntervalMilliseconds = Self.never
        options.closeTimeoutMilliseconds = closeTimeoutMilliseconds
        return try PluginClient(descriptors: agent.plugin, options: options)
    }

    /// Sends records that nobody reads, with their number as timestamp, until one is dropped.
    /// - Returns: how many were sent.
    private func fill(_ client: PluginClient) throws -> Int {
        var sent = 0
        let value = [UInt8](repeating: 0, count: 90)
        while try client.send(dataType: 1, timestamp: Int64(sent), { $0.add("k", bytes: value) }) == .sent { sent += 1 }
        return sent
    }

    /// Whole frames at the start of a stream that may end inside one.
    private func wholeFrames(_ stream: [UInt8]) -> [UInt8] {
        var end = 0
        while end + 4 <= stream.count {
            let length = (0..<4).reduce(0) { $0 | Int(stream[end + $1]) << (8 * $1) }
            guard end + 4 + length <= stream.count else { break }
            end += 4 + length
        }
        return Array(stream[..<end])
    }

    @Test func theNewestIsDroppedAndTheRestGoesOutByItself() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        let sent = try fill(client)
        #expect(client.dropped == 1)
        #expect(try client.send(dataType: 1, fields: ["k": String(repeating: "v", count: 1000)]) == .dropped)
        #expect(client.dropped == 2)
        // The pipe and the buffer are full: without any call of ours the flushing thread goes on.
        let records = try decodeRecords((0..<sent).flatMap { (_) in agent.records.readFrame() })
        #expect(records.map(\.timestamp) == (0..<Int64(sent)).map { $0 })
        try client.flush()
        #expect(try client.send(dataType: 2, timestamp: 1, fields: [:]) == .sent)
        try client.flush()
        #expect(try decodeRecords(agent.records.readFrame()).map(\.dataType) == [2])
        client.close()
        #expect(client.dropped == 2)
    }

    @Test func batchesCountWhatTheyDrop() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        _ = try fill(client)
        let value = [UInt8](repeating: 0, count: 2000)
        let counts = try client.send(each: 0..<3, dataType: 1) { $1.add("k", bytes: value) }
        #expect(counts == SendCounts(sent: 0, dropped: 3))
        #expect(client.dropped == 4)
        agent.records.closeReader()
        client.close()
    }

    @Test func aRecordLargerThanTheBufferIsTakenWhenItIsEmpty() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        let value = [UInt8](repeating: 7, count: 300_000)
        #expect(try client.send(dataType: 1, timestamp: 1) { $0.add("k", bytes: value) } == .sent)
        #expect(try client.send(dataType: 2, timestamp: 1, fields: [:]) == .dropped)
        let flushing = Background { (try? client.flush()) != nil }
        #expect(try decodeRecords(agent.records.readFrame()).map(\.fields.first?.value) == [value])
        #expect(flushing.value() == true)
        client.close()
    }

    @Test func closeWaitsForTheReader() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        let sent = try fill(client)
        let closing = Background { client.close() }
        #expect(try decodeRecords(agent.records.readToEnd(chunk: 777)).count == sent)
        closing.value()
        #expect(client.dropped == 1)
    }

    /// What was not written to its end counts as dropped.
    @Test func closeGivesUpAfterItsTimeout() throws {
        let agent = try AgentSide()
        let client = try client(agent, closeTimeoutMilliseconds: 1)
        let sent = try fill(client)
        client.close()
        let records = try decodeRecords(wholeFrames(agent.records.readToEnd()))
        #expect(records.count < sent)
        #expect(client.dropped == 1 + sent - records.count)
        #expect(throws: PluginError.closed) { try client.send(dataType: 1, fields: [:]) }
    }

    @Test func nobodyReadsAnyMore() throws {
        let agent = try AgentSide()
        let client = try client(agent)
        _ = try fill(client)
        let flushing = Background { () -> PluginError? in
            do throws(PluginError) {
                try client.flush()
                return nil
            } catch {
                return error
            }
        }
        agent.records.closeReader()
        #expect(flushing.value() == .agentGone)
        #expect(throws: PluginError.agentGone) { try client.send(dataType: 1, fields: [:]) }
        #expect(client.dropped == 1)
        client.close()
    }

    /// Four threads and a reader of odd sizes: what was sent arrives, whole and in order, and nothing else.
    @Test func whatIsSentArrives() throws {
        let agent = try AgentSide()
        var options = PluginOptions()
        options.backPressure = .dropNewest
        options.bufferSize = 20_000
        options.flushIntervalMilliseconds = 1
        options.closeTimeoutMilliseconds = Self.never
        let client = try PluginClient(descriptors: agent.plugin, options: options)
        let reader = Background { agent.records.readToEnd(chunk: 4093) }
        let senders = (0..<4 as Range<Int32>).map { (sender) in
            Background { () -> [Int64] in
                (0..<2000 as Range<Int64>).filter { (index) in
                    let value = [UInt8](repeating: UInt8(sender), count: Int(index) * 37 % 5000)
                    let result = try? client.send(dataType: sender, timestamp: index) { $0.add("k", bytes: value) }
                    return result == .sent
                }
            }
        }
        let sent = senders.map { $0.value() }
        client.close()
        let records = try decodeRecords(try #require(reader.value()))
        for sender in sent.indices {
            let own = records.filter { $0.dataType == sender }
            #expect(own.map(\.timestamp) == sent[sender])
            #expect(own.allSatisfy { $0.fields.first?.value.count == Int($0.timestamp) * 37 % 5000 })
        }
        #expect(client.dropped == 8000 - records.count)
    }

    @Test func blockingIsTheDefaultAndDropsNothing() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        #expect(fcntl(agent.plugin.records, F_GETFL) & O_NONBLOCK == 0)
        #expect(try client.send(dataType: 1, fields: [:]) == .sent)
        #expect(client.dropped == 0)
        client.close()
    }
}
