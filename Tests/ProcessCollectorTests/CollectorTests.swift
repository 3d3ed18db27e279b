// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Foundation
import Glibc
import ProcessCollector
import Testing

/// The collector as a whole, between the agent's ends of its pipes.
@Suite(.timeLimit(.minutes(1)))
struct CollectorTests {
    /// The field names of the original collector.
    private static let fieldNames: Set<String> = [
        "pid", "cmdline", "cwd", "exe", "exe_hash", "checksum", "comm", "state", "ppid", "pgid", "sid", "start_time",
        "umask", "tcpid", "ruid", "euid", "suid", "fsuid", "rgid", "egid", "sgid", "fsgid", "rusername", "eusername",
        "susername", "fsusername", "nspid", "nspgid", "nssid", "dns", "cns", "ins", "mns", "nns", "pns", "tns", "uns",
        "utns", "container_id", "container_name", "integrity", "package_seq",
    ]

    /// Runs a collector over the fixture with these bytes on its task pipe, which then ends.
    private func run(
        _ fixture: ProcFixture,
        tasks: [UInt8],
        readsRecords: Bool = true,
        removesRoot: Bool = false
    ) throws -> (status: CInt, records: [[String: String]], log: [String]) {
        let (taskPipe, recordPipe) = (Foundation.Pipe(), Foundation.Pipe())
        try taskPipe.fileHandleForWriting.write(contentsOf: Data(tasks))
        try taskPipe.fileHandleForWriting.close()
        if !readsRecords { try recordPipe.fileHandleForReading.close() }
        // The client closes its descriptors itself, so it gets copies.
        let descriptors = PluginDescriptors(
            tasks: dup(taskPipe.fileHandleForReading.fileDescriptor),
            records: dup(recordPipe.fileHandleForWriting.fileDescriptor)
        )
        try recordPipe.fileHandleForWriting.close()
        let client = try PluginClient(descriptors: descriptors)
        var log: [String] = []
        let scanner = try ProcessScanner(root: fixture.root, passwd: fixture.passwd)
        if removesRoot { try FileManager.default.removeItem(atPath: fixture.root) }
        let collector = Collector(
            client: client,
            scanner: scanner,
            options: CollectorOptions(),
            log: { log.append($0) }
        )
        let status = collector.run()
        // All of it fits into the pipe, so it can be read when the collector has ended.
        let stream = readsRecords ? try recordPipe.fileHandleForReading.readToEnd() ?? Data() : Data()
        return (status, try decode(Array(stream)), log)
    }

    private func task(_ dataType: UInt8, high: UInt8, token: String) -> [UInt8] {
        let body = [0x08, dataType | 0x80, high, 0x22, UInt8(token.utf8.count)] + Array(token.utf8)
        return [UInt8(body.count), 0, 0, 0] + body
    }

    /// Task 5050 is 0x13BA: the varint BA 27; 5051 is BB 27.
    @Test func sweepsAndAnswers() throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(1)
        try fixture.writeStat(42, comm: "other")
        let broken: [UInt8] = [1, 0, 0, 0, 0x08]
        let (status, records, log) = try run(
            fixture,
            tasks: task(0xBA, high: 0x27, token: "t1") + broken + task(0xBB, high: 0x27, token: "t2")
        )
        #expect(status == 0)
        #expect(log.count == 1 && log[0].contains("skipped"))
        let processes = records.filter { $0["#type"] == "5050" }
        #expect(processes.compactMap { $0["comm"] }.sorted() == ["name", "name", "other", "other"])
        for process in processes { #expect(Set(process.keys) == Self.fieldNames.union(["#type"])) }
        let sequences = processes.compactMap { $0["package_seq"] }
        #expect(sequences[0] == sequences[1] && sequences[2] == sequences[3] && sequences[0] != sequences[2])
        #expect(sequences.allSatisfy { $0.count == 8 && $0.allSatisfy(\.isHexDigit) })
        #expect(
            records.filter { $0["#type"] == "5100" } == [
                ["#type": "5100", "token": "t1", "status": "succeed", "msg": ""],
                [
                    "#type": "5100", "token": "t2", "status": "failed",
                    "msg": "the data_type hasn't been implemented",
                ],
            ]
        )
        #expect(records.map { $0["#type"] } == ["5050", "5050", "5050", "5050", "5100", "5100"])
    }

    /// /proc can go away under a running collector; it says so and goes on.
    @Test func failedSweepIsReported() throws {
        let fixture = try ProcFixture()
        let (status, records, log) = try run(
            fixture,
            tasks: task(0xBA, high: 0x27, token: "t"),
            removesRoot: true
        )
        #expect(status == 0)
        #expect(log.count == 1 && log[0].contains("cannot read \(fixture.root)"))
        #expect(records.count == 1)
        #expect(records.first?["status"] == "failed")
        #expect(records.first?["token"] == "t")
        #expect(records.first?["msg"]?.contains("cannot read \(fixture.root)") == true)
    }

    @Test func agentThatIsGoneEndsIt() throws {
        let fixture = try ProcFixture()
        try fixture.writeStat(42)
        let (status, _, log) = try run(fixture, tasks: task(0xBA, high: 0x27, token: "t"), readsRecords: false)
        #expect(status == 0)
        #expect(log.isEmpty)
    }

    @Test func taskPipeOutOfStepIsAFailure() throws {
        let fixture = try ProcFixture()
        let (status, _, log) = try run(fixture, tasks: [0xFF, 0xFF, 0xFF, 0xFF, 0])
        #expect(status == 1)
        #expect(log.count == 1 && log[0].contains("4294967295 bytes"))
    }

    /// Frames of records with one-entry-per-field payloads; the data type is the key "#type".
    private func decode(_ stream: [UInt8]) throws -> [[String: String]] {
        var records: [[String: String]] = []
        var rest = stream[...]
        while !rest.isEmpty {
            let length = rest.prefix(4).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
            var record = rest.dropFirst(4).prefix(length)
            rest = rest.dropFirst(4 + length)
            var fields: [String: String] = [:]
            while let tag = record.popFirst() {
                let value = try varint(&record)
                if tag == 0x08 { fields["#type"] = "\(value)" }
                guard tag == 0x1A else { continue }
                var payload = record.prefix(Int(value))
                record = record.dropFirst(Int(value))
                while payload.popFirst() != nil {
                    _ = try varint(&payload)
                    let key = try text(&payload)
                    fields[key] = try text(&payload)
                }
            }
            records.append(fields)
        }
        return records
    }

    private func text(_ rest: inout ArraySlice<UInt8>) throws -> String {
        _ = rest.popFirst()
        let length = Int(try varint(&rest))
        defer { rest = rest.dropFirst(length) }
        return String(decoding: rest.prefix(length), as: UTF8.self)
    }

    private func varint(_ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let next = rest.popFirst()
            let byte = try #require(next)
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { break }
        }
        return value
    }
}
