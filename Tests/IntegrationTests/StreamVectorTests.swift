// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// The bytes of the original Go plugin library, through a real plugin process, the agent and grpc-go.
extension Integration {
    @Suite struct StreamVector {
        @Test(arguments: ["none", "snappy", "gzip", "zstd"])
        func everyRecordArrivesByteForByte(compression: String) throws {
            try Scenario.run { scenario in
                let vector = Repository.vectors + "/go-plugin.stream.gz"
                try scenario.addScript("vector", "gzip -dc '\(vector)' >&4; cat <&3 >/dev/null\n")
                let dump = scenario.folder.path + "/dump"
                let server = try scenario.startServer(["-dump", dump])
                let agent = try scenario.startAgent(["transfer": ["compression": compression]])
                let expected = try FlatRecord.all(inStream: vector)
                #expect(expected.count == 268)
                try eventually("all records", state: scenario.state) {
                    try (server.stats().records >= expected.count).asAnswer
                }
                try agent.stop()
                let arrived = try FlatRecord.all(inDump: dump)
                #expect(arrived.count == expected.count)
                for (index, pair) in zip(expected, arrived).enumerated() {
                    #expect(pair.0 == pair.1, "record \(index)")
                }
                let ledger = try agent.ledger()
                #expect(ledger.malformed == 0 && ledger.isBalanced && ledger.dropped.isEmpty)
            }
        }
    }
}

/// The three fields of a record, decoded by the test itself.
private struct FlatRecord: Equatable, CustomStringConvertible {
    var dataType: UInt32 = 0
    var timestamp: UInt64 = 0
    var payload = Data()

    var description: String { "type \(dataType), time \(timestamp), \(payload.count) bytes" }

    /// Frames as on a plugin's pipe, compressed with gzip.
    static func all(inStream path: String) throws -> [FlatRecord] {
        let folder = try TemporaryFolder()
        defer { folder.remove() }
        let plain = folder.path + "/plain"
        _ = try ChildProcess.output(of: ["/bin/sh", "-c", "gzip -dc <'\(path)' >'\(plain)'"])
        var rest = try Data(contentsOf: URL(filePath: plain))[...]
        var records: [FlatRecord] = []
        while !rest.isEmpty {
            let length = try littleEndian(&rest, 4)
            records.append(try FlatRecord(record: try take(&rest, Int(length))))
        }
        return records
    }

    /// The file that the server's -dump makes.
    static func all(inDump path: String) throws -> [FlatRecord] {
        var rest = try Data(contentsOf: URL(filePath: path))[...]
        var records: [FlatRecord] = []
        while !rest.isEmpty {
            let (dataType, timestamp) = (try littleEndian(&rest, 4), try littleEndian(&rest, 8))
            let length = try littleEndian(&rest, 4)
            records.append(
                FlatRecord(
                    dataType: UInt32(dataType),
                    timestamp: timestamp,
                    payload: Data(try take(&rest, Int(length)))
                )
            )
        }
        return records
    }

    private init(dataType: UInt32, timestamp: UInt64, payload: Data) {
        self.dataType = dataType
        self.timestamp = timestamp
        self.payload = payload
    }

    /// A Record: 1 data_type, 2 timestamp, 3 payload.
    private init(record: Data) throws {
        var rest = record[...]
        while !rest.isEmpty {
            switch try Self.varint(&rest) {
            case 1 << 3: dataType = UInt32(truncatingIfNeeded: try Self.varint(&rest))
            case 2 << 3: timestamp = try Self.varint(&rest)
            case 3 << 3 | 2: payload = Data(try Self.take(&rest, Int(try Self.varint(&rest))))
            case let tag: throw Failure("tag \(tag) in the vector")
            }
        }
    }

    private static func take(_ rest: inout Data.SubSequence, _ count: Int) throws -> Data.SubSequence {
        guard rest.count >= count else { throw Failure("\(count) bytes expected, \(rest.count) left") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func littleEndian(_ rest: inout Data.SubSequence, _ count: Int) throws -> UInt64 {
        try take(&rest, count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func varint(_ rest: inout Data.SubSequence) throws -> UInt64 {
        var (value, shift): (UInt64, UInt64) = (0, 0)
        while true {
            let byte = try littleEndian(&rest, 1)
            value |= (byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }
}
