// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Testing

/// When records are written, by whom, and what happens when nobody reads.
@Suite(.timeLimit(.minutes(1)))
struct RecordPipeTests {
    private static let never = Int.max

    private func options(bufferSize: Int = 512 << 10, flushIntervalMilliseconds: Int) -> PluginOptions {
        var options = PluginOptions()
        options.bufferSize = bufferSize
        options.flushIntervalMilliseconds = flushIntervalMilliseconds
        return options
    }

    @Test func recordsArriveWithoutAnyFlush() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        // Twice: the flushing thread has gone back to sleep in between.
        for type in [1, 2] as [Int32] {
            try client.send(dataType: type, timestamp: 1, fields: ["k": "v"])
            #expect(try decodeRecords(agent.records.readFrame()).map(\.dataType) == [type])
        }
        client.close()
    }

    @Test func fullBufferIsWrittenAtOnce() throws {
        let agent = try AgentSide()
        let client = try PluginClient(
            descriptors: agent.plugin,
            options: options(bufferSize: 1000, flushIntervalMilliseconds: Self.never)
        )
        let value = [UInt8](repeating: 0, count: 90)
        for _ in 0..<10 { try client.send(dataType: 1, timestamp: 1) { $0.add("k", bytes: value) } }
        #expect(try decodeRecords((0..<10).flatMap { _ in agent.records.readFrame() }).count == 10)
        client.close()
    }

    @Test func flushWritesBothPipes() throws {
        let agent = try AgentSide(withHighPriority: true)
        let client = try PluginClient(
            descriptors: agent.plugin,
            options: options(flushIntervalMilliseconds: Self.never)
        )
        try client.send(dataType: 1, timestamp: 1, fields: [:])
        try client.send(dataType: 2, timestamp: 1, priority: .high, fields: [:])
        try client.flush()
        #expect(try decodeRecords(agent.records.readFrame()).map(\.dataType) == [1])
        #expect(try decodeRecords(agent.highPriorityRecords.readFrame()).map(\.dataType) == [2])
        client.close()
        #expect(agent.records.readToEnd().isEmpty)
        #expect(agent.highPriorityRecords.readToEnd().isEmpty)
    }

    @Test func highPriorityTakesTheOnlyPipeThereIs() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        try client.send(dataType: 1, timestamp: 1, priority: .high, fields: [:])
        try client.send(dataType: 2, timestamp: 1, priority: .normal, fields: [:])
        client.close()
        #expect(try decodeRecords(agent.records.readToEnd()).map(\.dataType) == [1, 2])
    }

    @Test func closeWritesTheRestOnceAndEndsThePipe() throws {
        let agent = try AgentSide()
        let client = try PluginClient(
            descriptors: agent.plugin,
            options: options(flushIntervalMilliseconds: Self.never)
        )
        try client.send(dataType: 1, timestamp: 1, fields: [:])
        client.close()
        client.close()
        #expect(try decodeRecords(agent.records.readToEnd()).count == 1)
        #expect(throws: PluginError.closed) { try client.send(dataType: 1, fields: [:]) }
        #expect(throws: PluginError.closed) { try client.flush() }
    }

    @Test func goingAwayCloses() throws {
        let agent = try AgentSide()
        do {
            let client = try PluginClient(
                descriptors: agent.plugin,
                options: options(flushIntervalMilliseconds: Self.never)
            )
            try client.send(dataType: 1, timestamp: 1, fields: [:])
        }
        #expect(try decodeRecords(agent.records.readToEnd()).count == 1)
    }

    /// Four threads, a reader of odd sizes, records of many sizes, also through a pipe in non-blocking mode.
    @Test(arguments: [false, true])
    func nothingIsLostOrTornBehindASlowReader(isNonBlocking: Bool) throws {
        let agent = try AgentSide()
        if isNonBlocking { _ = fcntl(agent.plugin.records, F_SETFL, O_NONBLOCK) }
        let client = try PluginClient(
            descriptors: agent.plugin,
            options: options(bufferSize: 100_000, flushIntervalMilliseconds: 1)
        )
        let reader = Background { agent.records.readToEnd(chunk: 4093) }
        let senders = (0..<4).map { (sender) in
            Background { () -> Bool in
                for index in 0..<500 {
                    let value = [UInt8](repeating: UInt8(sender), count: index * 37 % 5000)
                    do {
                        try client.send(dataType: Int32(sender), timestamp: Int64(index)) { $0.add("k", bytes: value) }
                    } catch {
                        return false
                    }
                }
                return true
            }
        }
        for sender in senders { #expect(sender.value() == true) }
        client.close()
        let records = try decodeRecords(try #require(reader.value()))
        for sender in 0..<4 {
            let own = records.filter { $0.dataType == sender }
            #expect(own.map(\.timestamp) == Array(0..<500))
            #expect(own.allSatisfy { $0.fields.first?.value.count == Int($0.timestamp) * 37 % 5000 })
            #expect(own.allSatisfy { $0.fields.first?.value.allSatisfy { $0 == sender } ?? false })
        }
    }

    @Test func nobodyReadsAnyMore() throws {
        let agent = try AgentSide()
        agent.records.closeReader()
        let client = try PluginClient(
            descriptors: agent.plugin,
            options: options(flushIntervalMilliseconds: Self.never)
        )
        try client.send(dataType: 1, fields: [:])
        #expect(throws: PluginError.agentGone) { try client.flush() }
        #expect(throws: PluginError.agentGone) { try client.flush() }
        #expect(throws: PluginError.agentGone) { try client.send(dataType: 1, fields: [:]) }
        client.close()
    }

    /// In a process of its own, since the disposition of a signal belongs to the whole process.
    @Test func brokenPipeRaisesNoSignal() async {
        await #expect(processExitsWith: .exitCode(7)) {
            signal(SIGPIPE, SIG_DFL)
            let agent = try AgentSide()
            agent.records.closeReader()
            let client = try PluginClient(descriptors: agent.plugin)
            try client.send(dataType: 1, fields: [:])
            do throws(PluginError) {
                try client.flush()
            } catch .agentGone {
                // A signal that was only held back would end the process here.
                var mask = sigset_t()
                unsafe sigemptyset(&mask)
                unsafe pthread_sigmask(SIG_SETMASK, &mask, nil)
                exit(7)
            }
        }
    }

    @Test func backgroundFailureIsReportedByALaterCall() throws {
        let agent = try AgentSide()
        agent.records.closeReader()
        let client = try PluginClient(descriptors: agent.plugin, options: options(flushIntervalMilliseconds: 0))
        #expect(throws: PluginError.agentGone) {
            while true { try client.send(dataType: 1, fields: [:]) }
        }
        client.close()
    }

    @Test func pipesAreNotInheritedByChildren() throws {
        let agent = try AgentSide(withHighPriority: true)
        let descriptors = [agent.plugin.tasks, agent.plugin.records, agent.plugin.highPriorityRecords ?? -1]
        for descriptor in descriptors { _ = fcntl(descriptor, F_SETFD, 0) }
        let client = try PluginClient(descriptors: agent.plugin)
        #expect(descriptors.map { fcntl($0, F_GETFD) } == [FD_CLOEXEC, FD_CLOEXEC, FD_CLOEXEC])
        client.close()
    }

    @Test func useInsideTheClosureTraps() async {
        await #expect(processExitsWith: .failure) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            try client.send(dataType: 1) { (_) in try? client.flush() }
        }
    }
}
