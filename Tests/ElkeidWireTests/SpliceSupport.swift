// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import Foundation
import TestSupport
import Testing

/// A splicer with what it needs around it, fed as if by reads of a pipe.
struct Splicing {
    let pool: SlabPool
    let arena: Arena
    var splicer: FrameSplicer
    private(set) var batches: [RecordBatch] = []

    init(slabSize: Int = 8 << 10, messageSize: Int = 256 << 10) {
        pool = SlabPool(slabSize: slabSize)
        arena = Arena(pool: pool)
        splicer = FrameSplicer(messageSize: messageSize)
    }

    /// One read of the pipe, or several where the slab ends.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(StreamLost) {
        try unsafe bytes.span.bytes.withUnsafeBytes { (bytes) throws(StreamLost) in
            var at = 0
            while at < bytes.count, let slab = arena.slab(room: 1) {
                let part = min(slab.room, bytes.count - at)
                let segment = slab.append(
                    unsafe RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[at..<(at + part)]))
                )
                at += part
                var cut: [RecordBatch] = []
                defer { batches += cut }
                try splicer.splice(segment, arena: arena) { cut.append($0) }
            }
        }
    }

    /// `bytes` in reads that end at `cuts`.
    mutating func read(_ bytes: [UInt8], cuts: [Int]) throws(StreamLost) {
        var start = 0
        for cut in cuts + [bytes.count] {
            try read(bytes[start..<cut])
            start = cut
        }
    }

    /// Everything that was accepted so far, as messages.
    mutating func messages() -> [[UInt8]] {
        if let rest = splicer.cut() { batches.append(rest) }
        return batches.map { $0.bytes.toArray() }
    }

    /// The records in everything that was accepted so far.
    mutating func records() throws -> [[UInt8]] {
        try messages().flatMap { message in
            try PackagedData(decoding: message).records.map { [UInt8](message[$0.encoded]) }
        }
    }
}

/// Frames as a plugin writes them.
enum Frames {
    /// Length and record.
    static func frame(_ record: [UInt8]) -> [UInt8] { frame(record, length: record.count) }

    /// A length that need not be the record's.
    static func frame(_ record: [UInt8], length: Int) -> [UInt8] {
        var writer = WireWriter()
        writer.fixed32(UInt32(length))
        writer.append(record)
        return writer.bytes
    }

    static func stream(_ records: [[UInt8]]) -> [UInt8] { records.flatMap(frame) }

    /// Record bytes of exactly `size`, at least 10, in the form that plugin libraries write.
    static func record(size: Int, dataType: Int32 = 59) throws -> [UInt8] {
        var header = WireWriter()
        header.int32(1, dataType)
        header.int64(2, 1_700_000_000)
        // The length of the payload takes 1 to 4 bytes, and is padded where the shortest form would miss the size.
        for width in 1...4 {
            let payload = size - header.bytes.count - 1 - width
            guard payload >= 0, WireWriter.varintSize(UInt64(payload)) <= width else { continue }
            var writer = header
            writer.tag(3, .lengthDelimited)
            writer.paddedVarint(UInt64(payload), width: width)
            writer.append([UInt8](repeating: 0x5a, count: payload))
            return writer.bytes
        }
        throw Impossible(size: size)
    }

    struct Impossible: Error {
        let size: Int
    }
}

/// What the original plugin library wrote (Tests/Vectors/README.md).
struct PluginStream {
    let bytes: [UInt8]
    /// The records, without their lengths.
    let records: [ArraySlice<UInt8>]
    /// Where each frame begins.
    let starts: [Int]

    struct Unusable: Error {}

    static let recorded: Result<PluginStream, any Error> = Result { try PluginStream() }

    /// Records up to this size are small: they are cut everywhere.
    static let smallRecord = 1000

    private init() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        let pipe = Foundation.Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", tests.appendingPathComponent("Vectors/go-plugin.stream.gz").path]
        process.standardOutput = pipe
        try process.run()
        bytes = [UInt8](pipe.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
        guard process.terminationStatus == 0, bytes.count == 8_465_084 else { throw Unusable() }
        var records: [ArraySlice<UInt8>] = []
        var starts: [Int] = []
        var at = 0
        while at < bytes.count {
            let length = bytes[at..<(at + 4)].reversed().reduce(0) { $0 << 8 | Int($1) }
            starts.append(at)
            records.append(bytes[(at + 4)..<(at + 4 + length)])
            at += 4 + length
        }
        self.records = records
        self.starts = starts
    }
}
