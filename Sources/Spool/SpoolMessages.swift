// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What a spool is asked to do. It can be asked again when no answer came.
public enum SpoolRequest: Equatable, Sendable {
    case open
    case append(SpoolLane, attempt: UInt32, [SpoolBatch])
    case sync
    case read(SpoolLane, from: SpoolPosition, maximum: Int)
    case advance(SpoolLane, to: SpoolPosition, isFinal: Bool)
    case dropOldest(SpoolLane)

    /// Which of these it is.
    public enum Kind: Hashable, Sendable, CaseIterable { case open, append, sync, advance, dropOldest, read }

    public var kind: Kind {
        switch self {
        case .open: .open
        case .append: .append
        case .sync: .sync
        case .read: .read
        case .advance: .advance
        case .dropOldest: .dropOldest
        }
    }
}

/// What came of it.
public enum SpoolAnswer: Equatable, Sendable {
    /// With the bytes of files that are kept and not used any more.
    case opened([SpoolContents], asideBytes: Int, notes: [String])
    /// With the bytes of the lane's files.
    case appended(bytes: Int)
    case synced
    case piece(SpoolStore.Piece)
    case advanced(bytes: Int)
    case dropped(first: SpoolPosition, bytes: Int)
    /// The disk did not do it; why.
    case failed(String)
}

extension SpoolStore {
    /// Does what is asked.
    public func perform(_ request: SpoolRequest) -> SpoolAnswer {
        do throws(SpoolError) {
            switch request {
            case .open: return .opened(contents, asideBytes: asideBytes, notes: notes)
            case .append(let lane, let attempt, let batches):
                return .appended(bytes: try append(batches, to: lane, attempt: attempt))
            case .sync:
                try sync()
                return .synced
            case .read(let lane, let place, let maximum):
                return .piece(try read(lane, from: place, maximum: maximum))
            case .advance(let lane, let first, let isFinal):
                return .advanced(bytes: try advance(lane, to: first, isFinal: isFinal))
            case .dropOldest(let lane):
                let (first, bytes) = try dropOldest(lane)
                return .dropped(first: first, bytes: bytes)
            }
        } catch {
            return .failed(error.description)
        }
    }
}

// MARK: Bytes

// Both ends are the same program: the form needs no version.
extension SpoolRequest {
    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        switch self {
        case .open: writer.integer(UInt8(1))
        case .append(let lane, let attempt, let batches):
            writer = ByteWriter(capacity: 256 + batches.reduce(0) { $0 + $1.payload.count + 24 })
            writer.integer(UInt8(2))
            writer.lane(lane)
            writer.integer(attempt)
            writer.batches(batches)
        case .sync: writer.integer(UInt8(3))
        case .read(let lane, let place, let maximum):
            writer.integer(UInt8(4))
            writer.lane(lane)
            writer.position(place)
            writer.integer(UInt64(maximum))
        case .advance(let lane, let first, let isFinal):
            writer.integer(UInt8(5))
            writer.lane(lane)
            writer.position(first)
            writer.integer(UInt8(isFinal ? 1 : 0))
        case .dropOldest(let lane):
            writer.integer(UInt8(6))
            writer.lane(lane)
        }
        return writer.bytes
    }

    init?(_ reader: inout ByteReader) {
        guard let kind: UInt8 = reader.integer() else { return nil }
        if kind == 1 || kind == 3 {
            self = kind == 1 ? .open : .sync
            return
        }
        guard let lane = reader.lane() else { return nil }
        switch kind {
        case 2:
            guard let attempt: UInt32 = reader.integer(), let batches = reader.batches() else { return nil }
            self = .append(lane, attempt: attempt, batches)
        case 4:
            guard let place = reader.position(), let maximum: UInt64 = reader.integer() else { return nil }
            self = .read(lane, from: place, maximum: Int(clamping: maximum))
        case 5:
            guard let first = reader.position(), let isFinal: UInt8 = reader.integer() else { return nil }
            self = .advance(lane, to: first, isFinal: isFinal == 1)
        case 6: self = .dropOldest(lane)
        default: return nil
        }
    }
}

extension SpoolAnswer {
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 256)
        switch self {
        case .opened(let contents, let asideBytes, let notes):
            writer.integer(UInt8(1))
            writer.integer(UInt64(asideBytes))
            writer.integer(UInt32(contents.count))
            for lane in contents {
                writer.lane(lane.lane)
                writer.position(lane.first)
                writer.position(lane.end)
                writer.integer(UInt64(lane.bytes))
                writer.integer(UInt64(lane.segments))
                writer.integer(lane.oldest)
            }
            writer.integer(UInt32(notes.count))
            for note in notes { writer.text(note) }
        case .appended(let bytes):
            writer.integer(UInt8(2))
            writer.integer(UInt64(bytes))
        case .synced: writer.integer(UInt8(3))
        case .piece(let piece):
            writer = ByteWriter(capacity: 256 + piece.batches.reduce(0) { $0 + $1.payload.count + 24 })
            writer.integer(UInt8(4))
            writer.position(piece.next)
            writer.batches(piece.batches)
        case .advanced(let bytes):
            writer.integer(UInt8(5))
            writer.integer(UInt64(bytes))
        case .dropped(let first, let bytes):
            writer.integer(UInt8(6))
            writer.position(first)
            writer.integer(UInt64(bytes))
        case .failed(let reason):
            writer.integer(UInt8(7))
            writer.text(reason)
        }
        return writer.bytes
    }

    /// Nil when the bytes make no sense.
    public init?(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let kind: UInt8 = reader.integer() else { return nil }
        switch kind {
        case 1:
            guard let asideBytes: UInt64 = reader.integer(), let contents = reader.contents(),
                let count: UInt32 = reader.integer()
            else { return nil }
            var notes: [String] = []
            for _ in 0..<count {
                guard let note = reader.text() else { return nil }
                notes.append(note)
            }
            self = .opened(contents, asideBytes: Int(clamping: asideBytes), notes: notes)
        case 2:
            guard let size: UInt64 = reader.integer() else { return nil }
            self = .appended(bytes: Int(clamping: size))
        case 3: self = .synced
        case 4:
            guard let next = reader.position(), let batches = reader.batches() else { return nil }
            self = .piece(.init(batches: batches, next: next))
        case 5:
            guard let size: UInt64 = reader.integer() else { return nil }
            self = .advanced(bytes: Int(clamping: size))
        case 6:
            guard let first = reader.position(), let size: UInt64 = reader.integer() else { return nil }
            self = .dropped(first: first, bytes: Int(clamping: size))
        case 7:
            guard let reason = reader.text() else { return nil }
            self = .failed(reason)
        default: return nil
        }
    }
}

extension ByteWriter {
    fileprivate mutating func lane(_ lane: SpoolLane) {
        text(lane.name)
        integer(UInt8(lane.isUrgent ? 1 : 0))
    }

    fileprivate mutating func position(_ position: SpoolPosition) {
        integer(position.sequence)
        integer(position.record)
    }

    fileprivate mutating func batches(_ batches: [SpoolBatch]) {
        integer(UInt32(batches.count))
        for batch in batches {
            position(batch.position)
            integer(batch.records)
            counted(batch.payload)
        }
    }
}

extension ByteReader {
    fileprivate mutating func lane() -> SpoolLane? {
        guard let name = text(), let urgent: UInt8 = integer() else { return nil }
        return SpoolLane(name: name, isUrgent: urgent == 1)
    }

    fileprivate mutating func position() -> SpoolPosition? {
        guard let sequence: UInt64 = integer(), let record: UInt64 = integer() else { return nil }
        return SpoolPosition(sequence: sequence, record: record)
    }

    fileprivate mutating func batches() -> [SpoolBatch]? {
        guard let count: UInt32 = integer() else { return nil }
        var batches: [SpoolBatch] = []
        for _ in 0..<count {
            guard let position = position(), let records: UInt32 = integer(), let payload = counted() else {
                return nil
            }
            batches.append(SpoolBatch(position: position, records: records, payload: payload))
        }
        return batches
    }

    fileprivate mutating func contents() -> [SpoolContents]? {
        guard let count: UInt32 = integer() else { return nil }
        var contents: [SpoolContents] = []
        for _ in 0..<count {
            guard let lane = lane(), let first = position(), let end = position(), let bytes: UInt64 = integer(),
                let segments: UInt64 = integer(), let oldest: UInt64 = integer()
            else { return nil }
            contents.append(
                SpoolContents(
                    lane: lane,
                    first: first,
                    end: end,
                    bytes: Int(clamping: bytes),
                    segments: Int(clamping: segments),
                    oldest: oldest
                )
            )
        }
        return contents
    }
}
