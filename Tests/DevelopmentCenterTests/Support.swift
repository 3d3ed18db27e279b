// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Foundation
import Reactor
import Syscalls
import TLS

struct Problem: Error, CustomStringConvertible {
    let description: String
}

/// A folder that is gone when the test is over.
final class Scratch {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("devcenter-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    /// Runs a program in the folder; its output and exit code.
    func run(_ program: String, _ arguments: String...) throws -> (output: String, status: Int32) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (String(decoding: output, as: UTF8.self), process.terminationStatus)
    }
}

/// A center on loopback, and the loop that it and its clients run on.
final class TestCenter {
    let reactor: Reactor
    let center: Center
    let scratch: Scratch
    let certificates: CertificateFolder
    let events = Events()
    private var clients: [GRPCClient] = []

    final class Events: CenterObserver {
        var lines: [String] = []
        var records: [(agentID: String, record: EncodedRecord, bytes: [UInt8])] = []
        func received(_ record: EncodedRecord, in message: [UInt8], from agentID: String) {
            records.append((agentID, record, Array(message[record.encoded])))
        }
        func noted(_ event: String) { lines.append(event) }
    }

    init(host: String = "127.0.0.1", components: (Scratch) throws -> [Component] = { _ in [] }) throws {
        reactor = try Reactor()
        scratch = try Scratch()
        certificates = CertificateFolder("\(scratch.path)/certs")
        try certificates.make()
        let address = try SocketAddress(text: "\(host):0")
        center = try Center(
            Center.Settings(
                listen: address,
                http: address,
                certificates: certificates.server,
                uploads: "\(scratch.path)/uploads",
                components: try components(scratch)
            ),
            reactor: reactor
        )
        center.observer = events
    }

    /// Turns the loop until `condition` holds. Far beyond any time that a test takes, it fails.
    func run(_ what: String, until condition: () -> Bool) throws {
        var expired = false
        let guardTimer = reactor.makeTimer { expired = true }
        guardTimer.arm(after: .seconds(60))
        defer { guardTimer.cancel() }
        while !condition() {
            if expired { throw Problem(description: "never happened: \(what); events: \(events.lines)") }
            try reactor.turn(wait: true)
        }
    }

    deinit {
        for client in clients { client.close() }
        center.close()
        // Deferred work holds the reactor, and the reactor holds it, until it has run.
        for _ in 0..<3 { try? reactor.turn(wait: false) }
    }

    func connect(to host: String = "127.0.0.1") throws -> GRPCClient {
        let client = try GRPCClient(to: "\(host):\(center.port)", certificates: certificates, reactor: reactor)
        clients.append(client)
        try run("connection") { client.isReady || client.end != nil }
        if let end = client.end { throw Problem(description: "\(end)") }
        return client
    }
}

/// A message as agents send it.
func packaged(_ agentID: String, _ types: [Int32], value: [UInt8] = [0x78]) -> [UInt8] {
    var writer = WireWriter()
    var builder = RecordBuilder()
    for type in types {
        builder.begin(dataType: type, timestamp: 7)
        builder.append("name", bytes: value)
        builder.encode(into: &writer, framing: .packaged)
    }
    var header = PackagedDataHeader()
    header.agentID = agentID
    header.hostname = "host"
    header.version = "1.2.3.4"
    header.product = "elkeid-agent"
    header.encode(into: &writer)
    return writer.bytes
}
