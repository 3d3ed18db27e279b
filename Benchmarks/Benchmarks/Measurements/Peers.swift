// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import DevelopmentCenter
import TLS

// The same job with other people's code at one end or the other.
extension Suite {
    /// The agent with the grpc-go server of the tests.
    mutating func goServer() throws {
        guard let program = rig.programs.goServer else {
            return complain("left out: the grpc-go server (`bash build.sh test` builds it; it needs Go)")
        }
        let server = try GoServer(rig, program)
        let agent = try Subject.agent(rig, server)
        defer {
            agent.end()
            server.close()
        }
        let load = Load.flood(volume / 4)
        let costs = try repeated {
            let expected = server.records + load.records
            return try agent.measure(load) {
                try server.waitForRecords(expected)
                return true
            }
        }
        let (name, note) = ("agent, grpc-go server", "the server checks each record, on the other core")
        add(Self.costGroup, name, "ns/byte", costs.map(\.perByte), floor: Self.naive)
        let throughput = costs.map(\.recordsPerSecond)
        add(Self.throughputGroup, name, "records/s", throughput, floor: Self.naive, note: note)
    }

    /// What `measure` gives again and again, the first time left out.
    private func repeated(_ measure: () throws -> Subject.Cost) throws -> [Subject.Cost] {
        _ = try measure()
        return try (0..<min(3, repetitions)).map { _ in try measure() }
    }

    /// The same job in grpc-swift-2 and swift-nio.
    mutating func peer() throws {
        guard let program = rig.programs.peer else { return }
        let discard = try DiscardServer(rig)
        let files = rig.certificates.client
        let arguments = [
            program, "--server", "127.0.0.1:\(discard.port)", "--ca", files.authority, "--certificate",
            files.certificate,
            "--key", files.privateKey, "--server-name", "elkeid.com", "--agent-id", "peer",
        ]
        let subject = try Subject.program(rig, discard, arguments)
        defer {
            subject.end()
            discard.close()
        }
        let load = Load.flood(volume / 4)
        let costs = try repeated {
            // It writes the length of a record in two bytes, where the splice keeps the three that it found room for.
            let expected = discard.bytes + load.bytes - UInt64(load.records)
            return try subject.measure(load) { discard.bytes >= expected }
        }
        let name = "grpc-swift-2 and swift-nio"
        add(Self.costGroup, name, "ns/byte", costs.map(\.perByte), floor: Self.naive)
        let throughput = costs.map(\.recordsPerSecond)
        add(Self.throughputGroup, name, "records/s", throughput, floor: Self.naive)
    }
}
