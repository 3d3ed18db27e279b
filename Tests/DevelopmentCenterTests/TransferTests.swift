// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression
import DevelopmentCenter
import ElkeidWire
import HTTP2
import Testing

@Suite
struct TransferTests {
    static let transfer = "/grpc.Transfer/Transfer"

    private static func withPlugin(_ scratch: Scratch) throws -> [Component] {
        let path = try scratch.file("plugin", Array("#!/bin/sh\n".utf8))
        return [try Component(ComponentSpecification(name: "plugin", version: "1.0.0.1", path: path))]
    }

    @Test(arguments: ContentCoding.allCases)
    func recordsArriveAndTheConfigurationLeavesInTheClientsCoding(_ coding: ContentCoding) throws {
        let test = try TestCenter(components: Self.withPlugin)
        let client = try test.connect()
        let call = try client.open(Self.transfer, coding: coding)
        try client.send(packaged("a", [1000]), on: call)
        try client.send(packaged("a", [5050, 5050, 1001]), on: call)
        try test.run("records and configuration") { test.center.statistics.records == 4 && call.messages.count == 1 }

        #expect(test.events.records.map(\.record.dataType) == [1000, 5050, 5050, 1001])
        #expect(test.events.records.allSatisfy { $0.agentID == "a" })
        #expect(test.center.statistics.types == [1000: 1, 5050: 2, 1001: 1])
        #expect(try Record(decoding: test.center.latest?.bytes ?? []).dataType == 5050)
        let command = try Command(decoding: call.messages[0])
        #expect(command.task == nil)
        let config = try #require(command.configs.first)
        #expect(command.configs.count == 1)
        #expect(config.name == "plugin" && config.type == "exec" && config.version == "1.0.0.1")
        #expect(config.downloadURLs.count == 1)
        #expect(call.header("grpc-encoding") == (coding == .identity ? nil : coding.grpcName))
        #expect(call.flags == [coding == .identity ? 0 : 1])
    }

    @Test
    func configurationIsPushedOnceForEachStream() throws {
        let test = try TestCenter(components: Self.withPlugin)
        let client = try test.connect()
        let call = try client.open(Self.transfer)
        for _ in 0..<3 { try client.send(packaged("a", [1000]), on: call) }
        client.finish(call)
        try test.run("end") { call.isClosed }
        #expect(call.messages.count == 1)
        #expect(call.status == "0")

        let second = try client.open(Self.transfer)
        try client.send(packaged("a", [5050, 1000]), on: second)
        client.finish(second)
        try test.run("end") { second.isClosed }
        #expect(second.messages.count == 1)
    }

    @Test
    func agentsAreGivenURLsOfTheAddressThatTheyReached() throws {
        let test = try TestCenter(host: "0.0.0.0", components: Self.withPlugin)
        let client = try test.connect(to: "127.0.0.2")
        let call = try client.open(Self.transfer)
        try client.send(packaged("a", [1000]), on: call)
        try test.run("configuration") { call.messages.count == 1 }
        let port = try #require(test.center.httpPort)
        let urls = try Command(decoding: call.messages[0]).configs.flatMap(\.downloadURLs)
        #expect(urls == ["http://127.0.0.2:\(port)/agent/component/plugin/plugin-default-default-1.0.0.1.plg"])
    }

    @Test
    func withoutComponentsNothingIsPushedUnlessAsked() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer, coding: .gzip)
        try client.send(packaged("a", [1000]), on: call)
        try test.run("record") { test.center.statistics.records == 1 }
        #expect(test.center.push() == 1)
        client.finish(call)
        try test.run("end") { call.isClosed }
        // An empty Command, which has the compressed flag 0 in any coding.
        #expect(call.messages == [[]])
        #expect(call.flags == [0])
    }

    @Test
    func secondStreamOfAnAgentIsRefusedUntilTheFirstEnds() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let first = try client.open(Self.transfer)
        try client.send(packaged("a", [1000]), on: first)
        try test.run("first") { test.center.agents == 1 }

        let other = try test.connect()
        let refused = try other.open(Self.transfer)
        try other.send(packaged("a", [1000]), on: refused)
        try test.run("refusal") { refused.isClosed }
        #expect(refused.status == "2")
        #expect(refused.header("grpc-message") == "agentID conflict")
        #expect(test.center.statistics.refused == 1)
        #expect(test.center.statistics.records == 1)

        client.close()
        try test.run("departure") { test.center.agents == 0 }
        let again = try other.open(Self.transfer)
        try other.send(packaged("a", [1000]), on: again)
        try test.run("second") { test.center.agents == 1 }
        #expect(test.center.statistics.streams == 2)
    }

    @Test
    func tasksReachTheAgentAndResetEndsItsStreamWithOK() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer, coding: .snappy)
        try client.send(packaged("a", [1000]), on: call)
        try test.run("agent") { test.center.agents == 1 }
        let task = PluginTask(dataType: 5050, objectName: "plugin", data: "{}", token: "t")
        #expect(test.center.send(task) == 1)
        try test.run("task") { call.messages.count == 1 }
        #expect(try Command(decoding: call.messages[0]) == Command(task: task))

        #expect(test.center.reset() == 1)
        // The client has not ended its half: the server tells it to stop.
        try test.run("reset") { call.isClosed }
        #expect(call.status == "0")
        #expect(call.resetCode == .noError)
        #expect(test.center.agents == 0)
        #expect(client.end == nil)
    }

    /// What a client may send wrongly, and the status with which the call ends.
    @Test(arguments: [
        ("/grpc.Transfer/Nothing", [UInt8](), "12"),
        ("/grpc.Nothing/Transfer", [], "12"),
        (transfer, [2, 0, 0, 0, 0], "13"),
        (transfer, [1, 0, 0, 0, 1, 0], "13"),
        (transfer, [0, 0, 0xa0, 0, 1], "8"),
        (transfer, [0, 0, 0, 0, 2, 0x0a, 0x05], "13"),
    ])
    func wrongCallsEndWithAStatus(_ path: String, _ bytes: [UInt8], _ status: String) throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(path)
        client.sendRaw(bytes, on: call)
        try test.run("status") { call.isClosed }
        #expect(call.status == status)
        #expect(client.end == nil)
        // The connection is as good as before.
        let next = try client.open(Self.transfer)
        try client.send(packaged("a", [1000]), on: next)
        try test.run("record") { test.center.statistics.records == 1 }
    }

    @Test
    func messageCutShortIsAnError() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer)
        client.sendRaw([0, 0, 0, 0, 9, 1], on: call)
        client.finish(call)
        try test.run("status") { call.isClosed }
        #expect(call.status == "13")
    }

    @Test
    func unknownEncodingIsRefusedWithThoseThatAreKnown() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer, override: [HTTP2Header("grpc-encoding", "br")])
        try test.run("status") { call.isClosed }
        #expect(call.status == "12")
        #expect(call.header("grpc-accept-encoding") == "identity,snappy,gzip,zstd")
    }

    @Test(arguments: [(":method", "GET", "405"), ("content-type", "text/plain", "415")])
    func whatIsNotGRPCIsRefusedByHTTP(_ name: String, _ value: String, _ status: String) throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer, override: [HTTP2Header(name, value)])
        client.finish(call)
        try test.run("status") { call.isClosed }
        #expect(call.header(":status") == status)
        #expect(call.status == nil)
    }

    @Test(arguments: [ContentCoding.identity, .zstd])
    func messagesUpToTenMebibytesPassThroughASmallerWindow(_ coding: ContentCoding) throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer, coding: coding)
        var random = UInt32(1)
        let value = (0..<(10 << 20) - 4096).map { _ -> UInt8 in
            random = random &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: random >> 24)
        }
        let message = packaged("a", [59], value: value)
        #expect(message.count <= 10 << 20)
        try client.send(message, on: call)
        try test.run("large record") { test.center.statistics.records == 1 }
        #expect(try Record(decoding: test.events.records[0].bytes).payload?["name"] == value)

        let tooLarge = packaged("a", [59], value: [UInt8](repeating: 0, count: 10 << 20))
        try client.send(tooLarge, on: call)
        try test.run("refusal") { call.isClosed }
        #expect(call.status == "8")
        #expect(test.center.statistics.records == 1)
    }

    @Test
    func windowOfSmallMessagesComesBackOnceTheyAreHandled() throws {
        let test = try TestCenter()
        let client = try test.connect()
        let call = try client.open(Self.transfer)
        let message = packaged("a", [59], value: [UInt8](repeating: 0x61, count: 100_000))
        // Five windows of 4 MiB: without credit for what was handled this could not end.
        for _ in 0..<200 { try client.send(message, on: call) }
        try test.run("records") { test.center.statistics.records == 200 }
        #expect(call.credit > 0)
        #expect(call.credit <= 200 * (message.count + 5))
        #expect(test.center.statistics.messages == 200)
    }

    @Test
    func clientWithoutACertificateOfTheAuthorityIsRefused() throws {
        let test = try TestCenter()
        let foreign = CertificateFolder("\(test.scratch.path)/foreign")
        try foreign.make()
        // It trusts the server, but the server does not know who signed it.
        _ = try test.scratch.run("cp", "certs/ca.crt", "foreign/ca.crt")
        let client = try GRPCClient(
            to: "127.0.0.1:\(test.center.port)",
            certificates: foreign,
            reactor: test.reactor
        )
        try test.run("refusal") { client.end != nil && !test.events.lines.isEmpty }
        #expect(test.center.agents == 0)
        #expect(test.events.lines.contains { $0.contains("not signed by the configured authority") })
    }
}
