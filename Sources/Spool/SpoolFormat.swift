// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Compression

/// A place in a lane: the number of a batch, and how many records came before it.
public struct SpoolPosition: Equatable, Comparable, Hashable, Sendable {
    public var sequence: UInt64
    public var record: UInt64

    public init(sequence: UInt64, record: UInt64) {
        self.sequence = sequence
        self.record = record
    }

    public static let zero = SpoolPosition(sequence: 0, record: 0)
    /// Numbers that no agent ever reaches: beyond them a file is damaged.
    static let limit: UInt64 = 1 << 62

    /// The place behind a batch of so many records that begins here.
    func behind(_ records: UInt32) -> SpoolPosition {
        SpoolPosition(sequence: sequence &+ 1, record: record &+ UInt64(records))
    }

    /// Can it be a place at all?
    var isPossible: Bool { sequence < Self.limit && record < Self.limit }
    public static func < (left: Self, right: Self) -> Bool { left.sequence < right.sequence }
}

/// A batch as it is kept: its place, its records, their bytes.
public struct SpoolBatch: Equatable, Sendable {
    public var position: SpoolPosition
    public var records: UInt32
    public var payload: [UInt8]

    public init(position: SpoolPosition, records: UInt32, payload: [UInt8]) {
        self.position = position
        self.records = records
        self.payload = payload
    }

    /// The place behind it.
    public var end: SpoolPosition { position.behind(records) }

    /// Bytes that a batch takes on the disk beyond its own.
    public static let overhead = SpoolFormat.frameHeaderSize
}

/// The bytes of the spool's files. All integers are little-endian; every structure has a CRC-32C of its own.
///
/// ```
/// segment: | header | the same header again | frame | frame | …     <lane>-<number>.spool
/// frame:   | frame header, 40 bytes | records as they are sent |
/// cursor:  | slot | …512: slot |                                     <lane>.cursor
/// ```
/// A header's copy, and the cursor's other slot, make a damaged byte there cost nothing. A frame's header is found
/// again behind damage by its marker and its CRC, which begins with the segment's salt: what a plugin wrote cannot
/// pass for a frame.
enum SpoolFormat {
    /// Of segments and cursors. What has another is set aside and never touched.
    static let version: UInt32 = 1
    static let segmentMagic: [UInt8] = Array("ELKSPOOL".utf8)
    static let cursorMagic: [UInt8] = Array("ELKCURSR".utf8)
    static let headerCopySize = 384
    /// Where the first frame is.
    static let headerSize = 2 * headerCopySize
    static let frameMarker: UInt32 = 0x3142_4b45
    static let frameHeaderSize = 40
    static let slotSize = 64
    /// The slots are in different sectors: a torn write costs one of them.
    static let slotDistance = 512
    static let maximumName = 255
    /// A batch of one record of 8 MiB with its prefix fits; anything longer is damage.
    static let maximumPayload = 9 << 20

    static func checksum(_ bytes: ArraySlice<UInt8>, salt: UInt64? = nil) -> UInt32 {
        var crc = CRC32C()
        if let salt {
            var writer = ByteWriter(capacity: 8)
            writer.integer(salt)
            unsafe crc.update(writer.bytes.span.bytes)
        }
        unsafe crc.update(bytes.span.bytes)
        return crc.value
    }

    static func hasMagic(_ magic: [UInt8], _ bytes: ArraySlice<UInt8>) -> Bool { bytes.prefix(8).elementsEqual(magic) }
}

/// What a segment begins with.
struct SegmentHeader: Equatable {
    var number: UInt64
    var first: SpoolPosition
    var salt: UInt64
    /// Seconds since 1970.
    var created: UInt64
    var lane: SpoolLane

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: SpoolFormat.headerCopySize)
        writer.append(SpoolFormat.segmentMagic)
        writer.integer(SpoolFormat.version)
        writer.integer(UInt32(SpoolFormat.headerCopySize))
        writer.integer(number)
        writer.integer(first.sequence)
        writer.integer(first.record)
        writer.integer(salt)
        writer.integer(created)
        writer.integer(UInt8(lane.isUrgent ? 1 : 0))
        let name = Array(lane.name.utf8.prefix(SpoolFormat.maximumName))
        writer.integer(UInt8(name.count))
        writer.append(name)
        writer.pad(to: SpoolFormat.headerCopySize - 4)
        writer.integer(SpoolFormat.checksum(writer.bytes[...]))
        return writer.bytes + writer.bytes
    }

    enum Reading: Equatable {
        case header(SegmentHeader)
        case unknownVersion(UInt32)
        case damaged
    }

    /// - Parameter bytes: the first `headerSize` of a file, or what there is.
    static func read(_ bytes: [UInt8]) -> Reading {
        var foreign: UInt32?
        for copy in 0..<2 {
            let start = min(copy * SpoolFormat.headerCopySize, bytes.count)
            let part = bytes[start..<min(start + SpoolFormat.headerCopySize, bytes.count)]
            if let header = SegmentHeader(part) { return .header(header) }
            // One damaged byte of a version must not make a segment another program's: both copies have to say so.
            guard SpoolFormat.hasMagic(SpoolFormat.segmentMagic, part) else { continue }
            var reader = ByteReader(part.dropFirst(8))
            guard let version = reader.integer(UInt32.self), version != SpoolFormat.version else { continue }
            if foreign == version || copy == 0 && bytes.count < SpoolFormat.headerSize {
                return .unknownVersion(version)
            }
            foreign = version
        }
        return foreign.map { .unknownVersion($0) } ?? .damaged
    }

    init(number: UInt64, first: SpoolPosition, salt: UInt64, created: UInt64, lane: SpoolLane) {
        self.number = number
        self.first = first
        self.salt = salt
        self.created = created
        self.lane = lane
    }

    private init?(_ copy: ArraySlice<UInt8>) {
        guard copy.count == SpoolFormat.headerCopySize, SpoolFormat.hasMagic(SpoolFormat.segmentMagic, copy) else {
            return nil
        }
        var end = ByteReader(copy.suffix(4))
        guard end.integer(UInt32.self) == SpoolFormat.checksum(copy.dropLast(4)) else { return nil }
        var reader = ByteReader(copy.dropFirst(8))
        guard reader.integer(UInt32.self) == SpoolFormat.version, reader.integer(UInt32.self) != nil,
            let number: UInt64 = reader.integer(), let sequence: UInt64 = reader.integer(),
            let record: UInt64 = reader.integer(), let salt: UInt64 = reader.integer(),
            let created: UInt64 = reader.integer(), let urgent: UInt8 = reader.integer(),
            let length: UInt8 = reader.integer(), let name = reader.take(Int(length))
        else { return nil }
        self.number = number
        first = SpoolPosition(sequence: sequence, record: record)
        guard first.isPossible, number < SpoolPosition.limit else { return nil }
        self.salt = salt
        self.created = created
        lane = SpoolLane(name: String(decoding: name, as: UTF8.self), isUrgent: urgent == 1)
    }
}

/// What stands in front of a batch's bytes.
struct FrameHeader: Equatable {
    var length: UInt32
    var position: SpoolPosition
    var records: UInt32
    var checksum: UInt32
    /// Which writing of this place it is: after a failure the same place is written again with another batch.
    var attempt: UInt32

    init(_ batch: SpoolBatch, attempt: UInt32) {
        self.attempt = attempt
        length = UInt32(batch.payload.count)
        position = batch.position
        records = batch.records
        checksum = SpoolFormat.checksum(batch.payload[...])
    }

    func encode(salt: UInt64, into writer: inout ByteWriter) {
        let start = writer.bytes.count
        writer.integer(SpoolFormat.frameMarker)
        writer.integer(length)
        writer.integer(position.sequence)
        writer.integer(position.record)
        writer.integer(records)
        writer.integer(checksum)
        writer.integer(attempt)
        writer.integer(SpoolFormat.checksum(writer.bytes[start...], salt: salt))
    }

    /// Nil when that is no frame's header, or a damaged one.
    init?(_ bytes: ArraySlice<UInt8>, salt: UInt64) {
        let bytes = bytes.prefix(SpoolFormat.frameHeaderSize)
        guard bytes.count == SpoolFormat.frameHeaderSize else { return nil }
        var reader = ByteReader(bytes)
        guard reader.integer(UInt32.self) == SpoolFormat.frameMarker, let length: UInt32 = reader.integer(),
            let sequence: UInt64 = reader.integer(), let record: UInt64 = reader.integer(),
            let records: UInt32 = reader.integer(), let checksum: UInt32 = reader.integer(),
            let attempt: UInt32 = reader.integer(), let own: UInt32 = reader.integer(),
            own == SpoolFormat.checksum(bytes.dropLast(4), salt: salt), length <= SpoolFormat.maximumPayload
        else { return nil }
        self.length = length
        position = SpoolPosition(sequence: sequence, record: record)
        guard position.isPossible else { return nil }
        self.records = records
        self.checksum = checksum
        self.attempt = attempt
    }

    var end: SpoolPosition { position.behind(records) }
    var size: Int { SpoolFormat.frameHeaderSize + Int(length) }
}

/// How far a lane's batches are confirmed, and how far they were synced when that was last written.
struct SpoolCursor: Equatable {
    /// Grows with each writing: the newest slot counts.
    var generation: UInt64 = 0
    /// The first batch that is not confirmed.
    var first = SpoolPosition.zero
    /// The place behind the last batch that is on the disk for certain: what is missing before it is damage.
    var synced = SpoolPosition.zero

    var slot: [UInt8] {
        var writer = ByteWriter(capacity: SpoolFormat.slotSize)
        writer.append(SpoolFormat.cursorMagic)
        writer.integer(SpoolFormat.version)
        writer.integer(UInt32(0))
        writer.integer(generation)
        writer.integer(first.sequence)
        writer.integer(first.record)
        writer.integer(synced.sequence)
        writer.integer(synced.record)
        writer.integer(UInt32(0))
        writer.integer(SpoolFormat.checksum(writer.bytes[...]))
        return writer.bytes
    }

    /// Where the slot of this generation lies.
    var offset: Int { generation % 2 == 0 ? 0 : SpoolFormat.slotDistance }

    /// The newest slot that is whole. Nil when there is none.
    static func read(_ bytes: [UInt8]) -> SpoolCursor? {
        [0, SpoolFormat.slotDistance].compactMap { start in
            SpoolCursor(slot: bytes.dropFirst(start).prefix(SpoolFormat.slotSize))
        }.max { $0.generation < $1.generation }
    }

    init() {}

    private init?(slot: ArraySlice<UInt8>) {
        guard slot.count == SpoolFormat.slotSize, SpoolFormat.hasMagic(SpoolFormat.cursorMagic, slot) else {
            return nil
        }
        var end = ByteReader(slot.suffix(4))
        guard end.integer(UInt32.self) == SpoolFormat.checksum(slot.dropLast(4)) else { return nil }
        var reader = ByteReader(slot.dropFirst(8))
        guard reader.integer(UInt32.self) == SpoolFormat.version, reader.integer(UInt32.self) != nil,
            let generation: UInt64 = reader.integer(), let firstSequence: UInt64 = reader.integer(),
            let firstRecord: UInt64 = reader.integer(), let syncedSequence: UInt64 = reader.integer(),
            let syncedRecord: UInt64 = reader.integer()
        else { return nil }
        self.generation = generation
        first = SpoolPosition(sequence: firstSequence, record: firstRecord)
        synced = SpoolPosition(sequence: syncedSequence, record: syncedRecord)
        guard first.isPossible, synced.isPossible, generation < SpoolPosition.limit else { return nil }
    }

    /// The version of both slots, if it is one that this program does not know.
    static func foreignVersion(_ bytes: [UInt8]) -> UInt32? {
        let versions = [0, SpoolFormat.slotDistance].compactMap { start -> UInt32? in
            let slot = bytes.dropFirst(start).prefix(SpoolFormat.slotSize)
            guard SpoolFormat.hasMagic(SpoolFormat.cursorMagic, slot) else { return nil }
            var reader = ByteReader(slot.dropFirst(8))
            return reader.integer(UInt32.self)
        }
        guard versions.count == 2, versions[0] == versions[1], versions[0] != SpoolFormat.version else { return nil }
        return versions[0]
    }
}

/// The name of a lane, and whether it is served before others.
public struct SpoolLane: Hashable, Sendable {
    public var name: String
    public var isUrgent: Bool

    public init(name: String, isUrgent: Bool) {
        self.name = name
        self.isUrgent = isUrgent
    }

    /// Of its files: letters, digits, "-" and "_" as they are, the rest as %XX; a long one is cut and told apart by its
    /// checksum.
    var fileStem: String {
        var stem = ""
        for byte in name.utf8 {
            let scalar = Unicode.Scalar(byte)
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                stem.unicodeScalars.append(scalar)
            default: stem += "%" + Self.hexadecimal(UInt64(byte), digits: 2)
            }
        }
        guard stem.utf8.count > 160 else { return stem }
        let checksum = SpoolFormat.checksum(Array(name.utf8)[...])
        return stem.prefix(150) + "~" + Self.hexadecimal(UInt64(checksum), digits: 8)
    }

    func segmentName(_ number: UInt64) -> String {
        "\(fileStem)-\(Self.hexadecimal(number, digits: 16))\(SpoolFormat.segmentSuffix)"
    }

    var cursorName: String { fileStem + SpoolFormat.cursorSuffix }

    static func hexadecimal(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}

extension SpoolFormat {
    static let segmentSuffix = ".spool"
    static let cursorSuffix = ".cursor"
    /// Of files that are kept, but not used any more.
    static let asideSuffix = ".aside"
    /// Of files that a repair is writing, and of the one that says that it has written them all.
    static let repairPrefix = "repaired="
    static let repairMark = "repaired=all"

    /// Whose segment a name is, and which one, in use or set aside. Stems have no dots.
    static func segment(_ name: String) -> (stem: String, number: UInt64)? {
        let parts = name.prefix { $0 != "." }
        guard name.dropFirst(parts.count).hasPrefix(segmentSuffix), let dash = parts.lastIndex(of: "-"),
            let number = UInt64(parts[parts.index(after: dash)...], radix: 16)
        else { return nil }
        return (String(parts[..<dash]), number)
    }
}
