// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Testing

/// Who may wait for tasks, and what ends the wait.
@Suite(.timeLimit(.minutes(1)))
struct ReceivingTests {
    private static let task = frame([0x08, 0x07])

    @Test func aLookDoesNotWaitForAThreadThatWaits() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        let waiting = Background { try? client.receive() }
        for _ in 0..<1000 { #expect(try client.receive(timeoutMilliseconds: 0) == .timedOut) }
        agent.tasks.write(Self.task)
        #expect(waiting.value() == PluginTask(dataType: 7))
    }

    @Test func eachTaskGoesToOneOfTheThreadsThatWait() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        let receivers = (0..<4).map { (_) in
            Background { () -> Int in
                var tasks = 0
                while (try? client.receive()) != nil { tasks += 1 }
                return tasks
            }
        }
        for _ in 0..<1000 { agent.tasks.write(Self.task) }
        agent.tasks.closeWriter()
        #expect(receivers.compactMap { $0.value() }.reduce(0, +) == 1000)
    }

    @Test func nothingIsReceivedAfterClose() throws {
        let agent = try AgentSide()
        let client = try PluginClient(descriptors: agent.plugin)
        agent.tasks.write(Self.task)
        client.close()
        #expect(throws: PluginError.closed) { try client.receive() }
        #expect(throws: PluginError.closed) { try client.receive(timeoutMilliseconds: 0) }
    }
}

/// SIGTERM as the end of the agent. Each in a process of its own, since signals belong to the whole process.
@Suite(.timeLimit(.minutes(1)))
struct TerminationTests {
    @Test func aWaitingReceiveEndsAndSendingGoesOn() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            let waiting = Background { (try? client.receive()) == .some(nil) }
            deliver(SIGTERM)
            try #require(waiting.value() == true)
            // A task that came before counts no more.
            agent.tasks.write(frame([0x08, 0x07]))
            try #require(try client.receive(timeoutMilliseconds: 0) == .endOfAgent)
            try client.send(dataType: 3, timestamp: 1, fields: [:])
            client.close()
            try #require(try decodeRecords(agent.records.readToEnd()).map(\.dataType) == [3])
            exit(7)
        }
    }

    @Test func itConcernsAllClients() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let agents = [try AgentSide(), try AgentSide()]
            let clients = try agents.map { (agent) in try PluginClient(descriptors: agent.plugin) }
            deliver(SIGTERM)
            for client in clients { try #require(try client.receive() == nil) }
            exit(7)
        }
    }

    @Test func theSecondOneEndsTheProcess() async {
        await #expect(processExitsWith: .signal(SIGTERM)) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            deliver(SIGTERM)
            try #require(try client.receive() == nil)
            // A client that is made afterwards does not take the signal again.
            _ = try PluginClient(descriptors: AgentSide().plugin)
            deliver(SIGTERM)
        }
    }

    @Test func theOptionLeavesTheSignalAlone() async {
        await #expect(processExitsWith: .signal(SIGTERM)) {
            let agent = try AgentSide()
            var options = PluginOptions()
            options.handlesTerminationSignal = false
            let client = try PluginClient(descriptors: agent.plugin, options: options)
            deliver(SIGTERM)
            client.close()
        }
    }

    @Test func outsideOfDebugModeAnInterruptIsNotOurs() async {
        await #expect(processExitsWith: .signal(SIGINT)) {
            let agent = try AgentSide()
            let client = try PluginClient(descriptors: agent.plugin)
            deliver(SIGINT)
            client.close()
        }
    }
}
