// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Syscalls

/// Keeps batches in files, lane by lane: appended at the end, read from any place, given up at the beginning.
///
/// It knows nothing of why. Everything can be asked twice (its process may die over a request): what is written already
/// is not written again, what is gone stays gone. Memory grows with the number of segments, never with what is in them.
///
/// `SpoolStore+Opening.swift` finds out what a folder holds.
public final class SpoolStore {
    /// A chain of files this long: what is given up at once when the spool is full, and read at opening.
    public static let defaultSegmentSize = 4 << 20

    let disk: any SpoolDisk
    let segmentSize: Int
    /// Seconds since 1970, for the segments' headers.
    let clock: () -> UInt64
    var lanes: [String: LaneFiles] = [:]
    /// What was found at opening and is not as it should be.
    public internal(set) var notes: [String] = []
    /// Bytes of files that are kept and not used any more: they take space too.
    public internal(set) var asideBytes = 0
    /// Names of files were made or removed since the folder was synced.
    var hasNewNames = false
    private var random = SystemRandomNumberGenerator()

    /// Opens what `disk` holds, and puts in order what a crash left: the end of a batch that is missing is cut off,
    /// files that make no sense are set aside.
    public convenience init(
        disk: any SpoolDisk,
        segmentSize: Int = SpoolStore.defaultSegmentSize,
        clock: @escaping () -> UInt64
    ) throws(SpoolError) {
        self.init(unopened: disk, segmentSize: segmentSize, clock: clock)
        try open(changing: true)
    }

    init(unopened disk: any SpoolDisk, segmentSize: Int, clock: @escaping () -> UInt64) {
        self.disk = disk
        self.segmentSize = segmentSize
        self.clock = clock
    }

    public var contents: [SpoolContents] {
        lanes.values.sorted { $0.lane.name < $1.lane.name }.compactMap { files in
            guard !files.isEmpty else { return nil }
            return SpoolContents(
                lane: files.lane,
                first: files.cursor.first,
                end: files.written,
                bytes: files.bytes,
                segments: files.segments.count,
                oldest: files.segments.first?.header.created ?? 0
            )
        }
    }

    // MARK: Writing

    /// Writes batches behind those of their lane, all of them or none; nothing is synced.
    ///
    /// - Parameter attempt: another number than before when places are given again after a failure: then what was
    ///   there counts no more. With the same number, what is there already is not written again.
    /// - Returns: the bytes of the lane's files.
    public func append(_ batches: [SpoolBatch], to lane: SpoolLane, attempt: UInt32) throws(SpoolError) -> Int {
        guard let first = batches.first else { return lanes[lane.name]?.bytes ?? 0 }
        for batch in batches {
            guard batch.position.isPossible, batch.payload.count <= SpoolFormat.maximumPayload else {
                throw SpoolError("append", lane.name, detail: "batch \(batch.position.sequence) cannot be stored")
            }
        }
        var files = lanes[lane.name] ?? LaneFiles(lane: lane)
        defer { lanes[lane.name] = files.hasNothing ? nil : files }
        if files.segments.isEmpty && files.isEmpty {
            files.cursor.first = first.position
            files.cursor.synced = first.position
            files.written = first.position
        }
        var pending = batches[...]
        if first.position < files.written {
            if attempt == files.attempt {
                pending = pending.drop { $0.position < files.written }
            } else {
                try takeBack(&files, to: first.position)
            }
        }
        let before = files
        do throws(SpoolError) {
            while let next = pending.first {
                if files.isSealed || files.segments.last.map({ $0.size >= segmentSize }) ?? true {
                    try begin(&files, at: next.position)
                }
                let count = try write(pending, to: &files, attempt: attempt)
                pending = pending.dropFirst(count)
            }
        } catch {
            undo(&files, to: before)
            throw error
        }
        files.attempt = attempt
        return files.bytes
    }

    /// Places from `place` on are given again: what lies there counts no more. The cursor says so before anything is
    /// written, or what was synced there once would seem to be missing after a crash.
    private func takeBack(_ files: inout LaneFiles, to place: SpoolPosition) throws(SpoolError) {
        files.isSealed = true
        files.resume = nil
        if files.cursor.synced > place || files.cursor.first > place {
            var cursor = files.cursor
            cursor.synced = min(cursor.synced, place)
            cursor.first = min(cursor.first, place)
            try writeForCertain(cursor, of: &files)
        }
        files.written = place
    }

    /// After a failure: segments that were begun are removed, the one before is cut to what it had.
    private func undo(_ files: inout LaneFiles, to before: LaneFiles) {
        let made = files.segments.dropFirst(before.segments.count)
        let nextNumber = files.nextNumber
        files = before
        files.nextNumber = nextNumber
        files.leftovers += made.map(\.name)
        removeLeftovers(&files)
        if !files.leftovers.isEmpty { files.isSealed = true }
        guard let last = before.segments.last, !before.isSealed else { return }
        do throws(SpoolError) { try disk.truncate(last.name, to: last.size) } catch { files.isSealed = true }
    }

    private func removeLeftovers(_ files: inout LaneFiles) {
        files.leftovers.removeAll { name in
            do throws(SpoolError) {
                try disk.remove(name)
                return true
            } catch {
                return false
            }
        }
    }

    private func begin(_ files: inout LaneFiles, at position: SpoolPosition) throws(SpoolError) {
        if files.segments.isEmpty {
            // An earlier life of the lane must not come back after a power cut, and mix with this one.
            if hasNewNames { try syncNames() }
            // The cursor's file has its size from the beginning: to move it later takes no space.
            let slot = files.cursor.slot
            let bytes = slot + [UInt8](repeating: 0, count: SpoolFormat.slotDistance - slot.count) + slot
            try disk.write(files.lane.cursorName, at: 0, bytes)
            try disk.sync(files.lane.cursorName)
        }
        let header = SegmentHeader(
            number: files.nextNumber,
            first: position,
            salt: random.next(),
            created: clock(),
            lane: files.lane
        )
        let name = files.lane.segmentName(header.number)
        files.nextNumber += 1
        hasNewNames = true
        // What is begun is undone by the caller.
        files.segments.append(.init(header: header, name: name, size: SpoolFormat.headerSize, isSynced: false))
        try disk.write(name, at: 0, header.encoded)
        files.isSealed = false
        removeLeftovers(&files)
    }

    /// Writes as many as the last segment takes, at least one, and says how many; 0 when it takes none.
    private func write(
        _ batches: ArraySlice<SpoolBatch>,
        to files: inout LaneFiles,
        attempt: UInt32
    ) throws(SpoolError) -> Int {
        let index = files.segments.count - 1
        let segment = files.segments[index]
        var writer = ByteWriter()
        var count = 0
        var end = files.written
        for batch in batches {
            let size = SpoolFormat.frameHeaderSize + batch.payload.count
            if segment.size + writer.bytes.count + size > segmentSize
                && (count > 0 || segment.size > SpoolFormat.headerSize)
            {
                break
            }
            FrameHeader(batch, attempt: attempt).encode(salt: segment.header.salt, into: &writer)
            writer.append(batch.payload)
            end = batch.end
            count += 1
        }
        guard count > 0 else {
            files.isSealed = true
            return 0
        }
        try disk.write(segment.name, at: segment.size, writer.bytes)
        files.segments[index].size += writer.bytes.count
        files.segments[index].isSynced = false
        files.written = end
        return count
    }

    /// Everything that was written is on the disk after that.
    public func sync() throws(SpoolError) {
        for name in lanes.keys.sorted() {
            guard var files = lanes[name] else { continue }
            defer { lanes[name] = files }
            var wasDirty = false
            for index in files.segments.indices where !files.segments[index].isSynced {
                do throws(SpoolError) {
                    try disk.sync(files.segments[index].name)
                } catch {
                    // The kernel may have dropped what it could not write: nothing more is put behind it.
                    files.isSealed = true
                    throw error
                }
                files.segments[index].isSynced = true
                wasDirty = true
            }
            if wasDirty && files.cursor.synced != files.written {
                var cursor = files.cursor
                cursor.synced = files.written
                try write(cursor, of: &files)
            }
        }
        if hasNewNames { try syncNames() }
    }

    private func syncNames() throws(SpoolError) {
        try disk.syncFolder()
        hasNewNames = false
    }

    /// Into the slot that is older: the other one stays whole, whatever happens meanwhile.
    private func write(_ cursor: SpoolCursor, of files: inout LaneFiles) throws(SpoolError) {
        var cursor = cursor
        cursor.generation = files.cursor.generation + 1
        try disk.write(files.lane.cursorName, at: cursor.offset, cursor.slot)
        files.cursor = cursor
    }

    /// Both slots, on the disk: damage to one of them must not lead back.
    private func writeForCertain(_ cursor: SpoolCursor, of files: inout LaneFiles) throws(SpoolError) {
        for _ in 0..<2 {
            try write(cursor, of: &files)
            try disk.sync(files.lane.cursorName)
        }
    }

    // MARK: Giving up

    /// Batches before `first` are confirmed. Segments with nothing else are removed, once the cursor has moved for
    /// certain.
    ///
    /// - Parameter isFinal: nothing of the lane is needed any more: nothing stays.
    /// - Returns: the bytes of the lane's files.
    public func advance(_ lane: SpoolLane, to first: SpoolPosition, isFinal: Bool) throws(SpoolError) -> Int {
        guard var files = lanes[lane.name] else { return 0 }
        defer { lanes[lane.name] = files.hasNothing ? nil : files }
        var cursor = files.cursor
        cursor.first = isFinal ? max(cursor.first, files.written) : max(cursor.first, min(first, files.written))
        if isFinal {
            try removeSegments(files.segments.count, of: &files, cursor)
            return 0
        }
        let confirmed = files.segments.indices.dropLast().prefix { files.limit(ofSegment: $0) <= cursor.first }
        if !confirmed.isEmpty {
            try removeSegments(confirmed.count, of: &files, cursor)
        } else if cursor != files.cursor {
            try write(cursor, of: &files)
        }
        return files.bytes
    }

    /// Gives the lane's oldest segment up, confirmed or not.
    ///
    /// - Returns: the first place that is left, and the bytes of the lane's files.
    public func dropOldest(_ lane: SpoolLane) throws(SpoolError) -> (first: SpoolPosition, bytes: Int) {
        guard var files = lanes[lane.name], !files.segments.isEmpty else {
            return (lanes[lane.name]?.cursor.first ?? .zero, 0)
        }
        defer { lanes[lane.name] = files.hasNothing ? nil : files }
        var cursor = files.cursor
        cursor.first = max(cursor.first, files.limit(ofSegment: 0))
        try removeSegments(1, of: &files, cursor)
        return (cursor.first, files.bytes)
    }

    private func removeSegments(
        _ count: Int,
        of files: inout LaneFiles,
        _ cursor: SpoolCursor
    ) throws(SpoolError) {
        if !files.segments.isEmpty { try writeForCertain(cursor, of: &files) }
        files.cursor.first = cursor.first
        files.resume = nil
        hasNewNames = true
        removeLeftovers(&files)
        for _ in 0..<count {
            try disk.remove(files.segments[0].name)
            files.segments.removeFirst()
        }
        if files.hasNothing { try disk.remove(files.lane.cursorName) }
    }

    // MARK: Reading

    /// A part of a lane.
    public struct Piece: Equatable, Sendable {
        /// In order. Places that are missing between them, or before `next`, are damaged.
        public var batches: [SpoolBatch] = []
        /// Where to go on.
        public var next: SpoolPosition
    }

    /// Reads batches from `place` on: one at least if there is any, and no more than `maximum` bytes of others.
    /// Damaged ones are left out.
    public func read(_ lane: SpoolLane, from place: SpoolPosition, maximum: Int) throws(SpoolError) -> Piece {
        guard var files = lanes[lane.name] else { return Piece(next: place) }
        defer { lanes[lane.name] = files }
        var piece = Piece(next: place)
        var size = 0
        let start = files.segments.lastIndex { $0.header.first <= place } ?? 0
        for index in files.segments.indices.dropFirst(start) where !files.isVoid(segment: index) {
            let segment = files.segments[index]
            let limit = files.limit(ofSegment: index)
            var reader = SegmentReader(disk, name: segment.name, size: segment.size, salt: segment.header.salt)
            var offset = SpoolFormat.headerSize
            if let resume = files.resume, resume.sequence == place.sequence, resume.segment == segment.header.number {
                offset = resume.offset
            }
            do throws(SpoolError) {
                reading: while true {
                    // Frames before the place are passed over by their headers.
                    if let header = try reader.header(at: offset), header.position < place {
                        offset += header.size
                        continue
                    }
                    switch try reader.item(at: offset) {
                    case .frame(let header, let at, _) where header.position < piece.next: offset = at + header.size
                    case .frame(let header, let at, let payload) where header.position < limit:
                        if size > 0 && size + Int(header.length) > maximum {
                            files.resume = (piece.next.sequence, segment.header.number, at)
                            return piece
                        }
                        offset = at + header.size
                        // Where the damage is the last thing read, it is told by where reading goes on.
                        piece.next = max(piece.next, header.end)
                        guard let payload else { continue }
                        let batch = SpoolBatch(
                            position: header.position,
                            records: header.records,
                            payload: Array(payload)
                        )
                        piece.batches.append(batch)
                        size += Int(header.length)
                    case .damage(let range): offset = range.upperBound
                    case .frame, .torn, .end: break reading
                    }
                }
            } catch {
                // Somebody has removed it: what was in it is missing.
                guard error.errno == .notFound else { throw error }
            }
            // What its frames do not reach up to the next segment is missing.
            piece.next = max(piece.next, limit)
            if size >= maximum { break }
        }
        if files.segments.isEmpty { piece.next = max(piece.next, files.written) }
        files.resume = nil
        return piece
    }
}
