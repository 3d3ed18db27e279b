// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import TestSupport
import Testing

/// What the four plugin libraries write and read, against protoc and against each other.
extension Integration {
    @Suite struct PluginEncoding {
        /// Records of `seed`, with every size of a length.
        private static func records(_ seed: UInt64) -> [RecordFrame] {
            var random = SeededRandom(seed: seed)
            let types: [Int32] = [0, 1, -1, .max, .min, 127, 128, 7001]
            let times: [Int64] = [0, 1, -1, .max, .min, 1_700_000_000]
            let sizes = [0, 1, 3, 110, 120, 127, 128, 129, 16_370, 16_383, 16_384, 16_390, 70_000]
            return (0..<200).map { index in
                var record = RecordFrame.empty
                record.dataType = types[index % types.count]
                record.timestamp = times[index % times.count]
                for _ in 0..<(index % 8) {
                    let size = index < 100 ? sizes[random.int(0...sizes.count - 1)] : random.int(0...40)
                    let key = random.bytes(random.int(0...12)).map { $0 % 94 + 33 }
                    record.fields.append(RecordFrame.Field(key: key, value: random.bytes(size)))
                }
                return record
            }
        }

        /// What protoc makes of them. A map's entries are a repeated message on the wire, here in the order given.
        private static func reference(_ records: [RecordFrame], in folder: String) throws -> [[UInt8]] {
            try write(
                """
                syntax = "proto2";
                message Entry { optional bytes key = 1; optional bytes value = 2; }
                message Payload { repeated Entry fields = 1; }
                message Record { optional int32 data_type = 1; optional int64 timestamp = 2;
                                 optional Payload payload = 3; }
                message Records { repeated Record records = 1; }
                """,
                to: folder + "/records.proto"
            )
            func quoted(_ bytes: [UInt8]) -> String {
                "\""
                    + bytes.map {
                        "\\" + String(repeating: "0", count: $0 < 8 ? 2 : $0 < 64 ? 1 : 0) + String($0, radix: 8)
                    }
                    .joined() + "\""
            }
            var text = ""
            for record in records {
                text += "records {"
                // proto3 leaves them out.
                if record.dataType != 0 { text += " data_type: \(record.dataType)" }
                if record.timestamp != 0 { text += " timestamp: \(record.timestamp)" }
                text += " payload {"
                for field in record.fields {
                    text += " fields { key: \(quoted(field.key)) value: \(quoted(field.value)) }"
                }
                text += " } }\n"
            }
            try write(text, to: folder + "/records.txt")
            let command =
                "cd '\(folder)' && protoc --encode=Records records.proto <records.txt >records.bin"
            _ = try ChildProcess.output(of: ["/bin/sh", "-c", command])
            var reader = WireReader(Array(try Data(contentsOf: URL(filePath: folder + "/records.bin"))))
            var encodings: [[UInt8]] = []
            while try reader.tag() != nil { encodings.append(try reader.bytes()) }
            return encodings
        }

        @Test(arguments: [1, 2] as [UInt64])
        func isWhatProtocWrites(seed: UInt64) throws {
            let folder = try TemporaryFolder()
            defer { folder.remove() }
            let records = Self.records(seed)
            let reference = try Self.reference(records, in: folder.path)
            try #require(reference.count == records.count)
            for language in PluginLanguage.allCases {
                let probe = try PluginProbe.of(language)
                for (record, bytes) in zip(records, reference) {
                    #expect(try probe.send(record.dataType, record.timestamp, record.fields) == "sent")
                    try probe.tell("flush")
                    let frame = try probe.record()
                    #expect(try probe.answer() == "ok")
                    #expect(
                        frame.bytes == bytes,
                        "\(language), seed \(seed): \(record.dataType) \(record.fields.count)"
                    )
                }
            }
        }

        // MARK: Tasks

        /// Bytes that are a task, nearly one, or none.
        private static func bodies(_ random: inout SeededRandom, _ count: Int) -> [[UInt8]] {
            let seeds: [[UInt8]] = [
                TaskFrame(dataType: 5050, objectName: "n", data: "{}", token: "t").body,
                TaskFrame(dataType: -5, data: "é€😀", token: "t").body,
                // Repeated, in reverse, unknown of each wire type, padded varints, a group.
                [0x22, 1, 0x61, 0x08, 1, 0x22, 1, 0x62, 0x08, 2],
                [0x78, 1, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4],
                [0x88, 0x80, 0x00, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], [0x0b, 0x0c], [0x0f],
                [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], [0x12, 2, 0xc3, 0x28], [0],
                [0x1a, 3, 0xed, 0xa0, 0x80], [0x1a, 4, 0xf4, 0x90, 0x80, 0x80], [0x1a, 2, 0xc0, 0x80], [0x09],
                [0xfa, 0xff, 0xff, 0xff, 0x0f, 0], [0x82, 0x80, 0x80, 0x80, 0x10, 0], [0x15, 1, 2, 3, 4],
                [0x1a, 0x80, 0x00],
                [0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x61], [],
            ]
            return seeds
                + (0..<count).map { _ in
                    var body = seeds[random.int(0...seeds.count - 1)]
                    if random.oneIn(3) { body += seeds[random.int(0...seeds.count - 1)] }
                    for _ in 0..<random.int(1...3) {
                        let place = random.int(0...body.count)
                        switch random.int(0...3) {
                        case 0: body.insert(UInt8(random.int(0...255)), at: place)
                        case 1 where place < body.count: body.remove(at: place)
                        case 2 where place < body.count: body[place] ^= 1 << UInt8(random.int(0...7))
                        default: body = Array(body.prefix(place))
                        }
                    }
                    return body
                }
        }

        /// What one takes for a task is one for all, with the same content.
        @Test(arguments: [11, 12] as [UInt64])
        func allReadTheSame(seed: UInt64) throws {
            var random = SeededRandom(seed: seed)
            let bodies = Self.bodies(&random, TestEnvironment.isSoak ? 20_000 : 2_000)
            var readings: [[String]] = []
            for language in PluginLanguage.allCases {
                let probe = try PluginProbe.of(language)
                try probe.tell("receive-all")
                var lines: [String] = []
                for body in bodies {
                    try probe.writeTasks(TaskFrame.frame(body))
                    lines.append(try probe.answer())
                }
                probe.closeTasks()
                #expect(try probe.answer() == "end")
                readings.append(lines)
            }
            for (index, body) in bodies.enumerated() {
                let answers = Set(readings.map { $0[index] })
                #expect(answers.count == 1, "seed \(seed), \(hex(body)): \(readings.map { $0[index] })")
            }
            // Both happen, so the comparison says something.
            #expect(Set(readings[0].map { $0.prefix(4) }) == ["task", "erro"])
        }
    }
}

extension RecordFrame {
    /// Without a type, a time, and fields.
    static let empty = RecordFrame()

    private init() {}
}
