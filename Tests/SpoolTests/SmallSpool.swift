// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport

/// The bytes of the spool's files, by their description alone.
enum Bytes {
    static let copySize = 384
    static let headerSize = 768
    static let frameHeaderSize = 40
    static let slotSize = 64
    static let slotDistance = 512

    static func littleEndian(_ value: UInt64, _ size: Int) -> [UInt8] {
        (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
    }

    static func integer(_ bytes: [UInt8], at offset: Int, _ size: Int) -> UInt64 {
        (0..<size).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }

    static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var register: UInt32 = .max
        for byte in bytes {
            register ^= UInt32(byte)
            for _ in 0..<8 { register = register & 1 == 0 ? register >> 1 : register >> 1 ^ 0x82f6_3b78 }
        }
        return UInt64(~register)
    }

    static func frame(_ batch: SpoolBatch, attempt: UInt32 = 0, salt: [UInt8]) -> [UInt8] {
        var bytes = littleEndian(0x3142_4b45, 4)
        bytes += littleEndian(UInt64(batch.payload.count), 4)
        bytes += littleEndian(batch.position.sequence, 8) + littleEndian(batch.position.record, 8)
        bytes += littleEndian(UInt64(batch.records), 4) + littleEndian(crc32c(batch.payload), 4)
        bytes += littleEndian(UInt64(attempt), 4)
        return bytes + littleEndian(crc32c(salt + bytes), 4) + batch.payload
    }

    /// The same structures of another version, as its program would write them.
    static func changeVersion(_ bytes: inout [UInt8], to version: UInt64, at starts: [Int], size: Int) {
        for start in starts {
            bytes.replaceSubrange((start + 8)..<(start + 12), with: littleEndian(version, 4))
            let end = start + size - 4
            bytes.replaceSubrange(end..<(end + 4), with: littleEndian(crc32c(bytes[start..<end]), 4))
        }
    }
}

/// Two lanes, four segments with three batches in each, some of them confirmed, all on the disk.
struct SmallSpool {
    static let lanes = [SpoolLane(name: "a", isUrgent: false), SpoolLane(name: "b", isUrgent: true)]
    static let files = [
        "a-0000000000000001.spool", "a-0000000000000002.spool", "a-0000000000000003.spool", "a.cursor",
        "b-0000000000000001.spool", "b.cursor",
    ]
    static let segments = files.filter { $0.hasSuffix(".spool") }
    static let segmentSize = 1000

    /// A batch, and where it lies.
    struct Frame {
        let lane: SpoolLane
        let file: String
        let range: Range<Int>
        let batch: SpoolBatch
        var isConfirmed: Bool { batch.position.sequence < SmallSpool.confirmed(lane) }
    }

    let disk = MemoryDisk()
    let frames: [Frame]

    /// The first place that is not confirmed.
    static func confirmed(_ lane: SpoolLane) -> UInt64 { lane.name == "a" ? 2 : 1 }

    init() throws {
        let store = try SpoolStore(disk: disk, segmentSize: Self.segmentSize) { 1_700_000_000 }
        var batches: [String: [SpoolBatch]] = [:]
        for (lane, count) in zip(Self.lanes, [9, 3]) {
            var line = BatchLine()
            let own = (0..<count).map { line.next(size: 20 + 2 * $0 % 17, records: UInt32(1 + $0 % 4)) }
            _ = try store.append(own, to: lane, attempt: 0)
            batches[lane.name] = own
        }
        try store.sync()
        for lane in Self.lanes {
            guard let own = batches[lane.name] else { continue }
            let first = own[Int(Self.confirmed(lane))].position
            _ = try store.advance(lane, to: first, isFinal: false)
        }
        let names = try disk.names().sorted()
        try check(names == Self.files.sorted(), "the files are \(names)")

        var frames: [Frame] = []
        for file in Self.segments {
            guard let lane = Self.lanes.first(where: { file.hasPrefix($0.name) }), let own = batches[lane.name] else {
                continue
            }
            let bytes = disk.contents(of: file)
            var offset = Bytes.headerSize
            while offset < bytes.count {
                let size = Bytes.frameHeaderSize + Int(Bytes.integer(bytes, at: offset + 4, 4))
                let batch = own[Int(Bytes.integer(bytes, at: offset + 8, 8))]
                frames.append(Frame(lane: lane, file: file, range: offset..<(offset + size), batch: batch))
                offset += size
            }
            try check(frames.count % 3 == 0 && offset == bytes.count, "\(file) is not as it should be")
        }
        self.frames = frames
        try check(frames.count == 12, "\(frames.count) frames")
    }

    /// The numbers of a file's frames whose bytes are affected.
    func frames(of file: String, where isAffected: (Range<Int>) -> Bool) -> Set<Int> {
        Set(frames.indices.filter { frames[$0].file == file && isAffected(frames[$0].range) })
    }

    func end(of lane: SpoolLane) -> SpoolPosition? { frames.last { $0.lane == lane }?.batch.end }
}
