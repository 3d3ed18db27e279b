// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import DevelopmentCenter
import ElkeidWire
import Glibc
import JSON
import Reactor
import Syscalls
import TLS

/// The grpc-go server of the tests: an implementation that nobody here wrote, which checks each record.
final class GoServer: AgentServer {
    private let child: ChildProcess
    private let rig: Rig
    private let output: String
    private let commands: FileDescriptor
    private(set) var port: UInt16 = 0
    private var read = 0
    private(set) var records = 0
    private(set) var connections = 0
    /// It counts records: loads on it are awaited by `waitForRecords`.
    var bytes: UInt64 { UInt64(records) }

    init(_ rig: Rig, _ program: String) throws {
        self.rig = rig
        let place = try rig.place("go-server")
        let files = rig.certificates.server
        var input = try Pipe()
        guard let reading = input.read.take(), let writing = input.write.take() else { throw RigError("no pipe") }
        commands = consume writing
        output = "\(place)/output"
        let certificates = ["-ca", files.authority, "-cert", files.certificate, "-key", files.privateKey]
        child = try rig.start(
            [program, "-listen", "127.0.0.1:0", "-fast"] + certificates,
            in: place,
            descriptors: [0: reading.rawValue]
        )
        try wait("the address of the Go server") { self.port != 0 }
    }

    func tell(_ plugins: [PluginConfig]) throws {
        let configs = plugins.map { plugin in
            JSONValue.object([
                "name": .string(plugin.name), "type": .string(plugin.type), "version": .string(plugin.version),
                "sha256": .string(plugin.sha256), "signature": .string(plugin.signature),
            ])
        }
        try command(["cmd": .string("config"), "configs": .array(configs)])
    }

    /// Asks the server what it has until it has `records` of plugins.
    func waitForRecords(_ expected: Int) throws {
        try wait("records at the Go server") {
            try self.command(["cmd": .string("stats")])
            return self.records >= expected
        }
    }

    private func wait(_ what: String, until condition: () throws -> Bool) throws {
        for _ in 0..<6000 {
            try rig.pass(.milliseconds(10))
            try readEvents()
            if try condition() { return }
        }
        throw RigError("\(what): not within a minute")
    }

    private func command(_ members: [String: JSONValue]) throws {
        let line = JSONValue.object(members).encoded + [0x0a]
        try commands.writeAll(unsafe line.span.bytes)
    }

    private func readEvents() throws {
        let all = try FileDescriptor.readFile(output, limit: 16 << 20)
        guard let last = all.lastIndex(of: 0x0a), last >= read else { return }
        for line in all[read..<last].split(separator: 0x0a) {
            guard let event = try? JSONValue(parsing: Array(line)) else { continue }
            switch event["event"]?.string {
            case "listening":
                let address = event["address"]?.string ?? ""
                port = address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
            case "stats":
                connections = Int(event["streams"]?.integer ?? 0)
                records = Int(event["types"]?["59"]?.integer ?? 0)
            default: break
            }
        }
        read = last + 1
    }

    func close() { rig.stop(child) }
}
