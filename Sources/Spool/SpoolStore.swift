// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

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

    /// Writes batches behind those of their lane; nothing is synced.
    ///
    /// - Parameter attempt: another number than before when places are written again after a failure: then what was
    ///   there counts no more. With the same number, what is there already is not written again.
    /// - Returns: the bytes of the lane's files.
    public func append(_ batches: [SpoolBatch], to lane: SpoolLane, attempt: UInt32) throws(SpoolError) -> Int {
        guard let first = batches.first else { return lanes[lane.name]?.bytes ?? 0 }
        var files = lanes[lane.name] ?? LaneFiles(lane: lane)
        defer { lanes[lane.name] = files }
        if files.segments.isEmpty && files.isEmpty {
            files.cursor.first = first.position
            files.cursor.synced = first.position
            files.written = first.position
        }
        var pending = batches[...]
        if first.position.sequence < files.written.sequence {
            if attempt == files.attempt {
                pending = pending.drop { $0.position.sequence < files.written.sequence }
            } else {
                files.written = first.position
                files.cursor.first = min(files.cursor.first, first.position)
                files.isSealed = true
            }
        }
        files.attempt = attempt
        let start = files.written
        do throws(SpoolError) {
            while let next = pending.first {
                if files.isSealed || files.segments.last.map({ $0.size >= segmentSize }) ?? true {
                    try begin(&files, at: next.position)
                }
                let count = try write(pending, to: &files, attempt: attempt)
                pending = pending.dropFirst(count)
            }
        } catch {
            // All or nothing: whoever asked gives these places again.
            files.written = start
            files.isSealed = true
            throw error
        }
        return files.bytes
    }

    private func begin(_ files: inout LaneFiles, at position: SpoolPosition) throws(SpoolError) {
        let header = SegmentHeader(
            number: files.segments.last.map { $0.header.number + 1 } ?? files.firstNumber,
            first: position,
            salt: random.next(),
            created: clock(),
            lane: files.lane
        )
        let name = files.lane.segmentName(header.number)
        if files.segments.isEmpty {
            // The cursor's file has its size from the beginning: to move it later takes no space.
            let slot = files.cursor.slot
            let bytes = slot + [UInt8](repeating: 0, count: SpoolFormat.slotDistance - slot.count) + slot
            try disk.write(files.lane.cursorName, at: 0, bytes)
        }
        files.hasNewNames = true
        do throws(SpoolError) {
            try disk.write(name, at: 0, header.encoded)
        } catch {
            try? disk.remove(name)
            throw error
        }
        files.segments.append(.init(header: header, name: name, size: SpoolFormat.headerSize, isSynced: false))
        files.isSealed = false
    }

    /// Writes as many as the last segment takes, at least one, and says how many. After a failure that segment is not
    /// written to any more.
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
        do throws(SpoolError) {
            try disk.write(segment.name, at: segment.size, writer.bytes)
        } catch {
            files.isSealed = true
            try? disk.truncate(segment.name, to: segment.size)
            throw error
        }
        files.segments[index].size += writer.bytes.count
        files.segments[index].isSynced = false
        files.written = end
        return count
    }

    /// Everything that was written is on the disk after that.
    public func sync() throws(SpoolError) {
        var hasNewNames = false
        for name in lanes.keys.sorted() {
            guard var files = lanes[name] else { continue }
            var wasDirty = false
            for index in files.segments.indices where !files.segments[index].isSynced {
                try disk.sync(files.segments[index].name)
                files.segments[index].isSynced = true
                wasDirty = true
            }
            if wasDirty && files.cursor.synced != files.written {
                files.cursor.synced = files.written
                try writeCursor(&files)
            }
            hasNewNames = hasNewNames || files.hasNewNames
            files.hasNewNames = false
            lanes[name] = files
        }
        if hasNewNames { try disk.syncFolder() }
    }

    private func writeCursor(_ files: inout LaneFiles) throws(SpoolError) {
        files.cursor.generation += 1
        try disk.write(files.lane.cursorName, at: files.cursor.offset, files.cursor.slot)
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
        if first > files.cursor.first {
            files.cursor.first = min(first, files.written)
            try writeCursor(&files)
        }
        if isFinal {
            files.cursor.first = max(files.cursor.first, files.written)
            try removeSegments(files.segments.count, of: &files)
            return 0
        }
        let confirmed = files.segments.indices.dropLast().prefix {
            files.limit(ofSegment: $0) <= files.cursor.first.sequence
        }
        try removeSegments(confirmed.count, of: &files)
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
        let next = files.segments.count > 1 ? files.segments[1].header.first : files.written
        files.cursor.first = max(files.cursor.first, next)
        try removeSegments(1, of: &files)
        return (files.cursor.first, files.bytes)
    }

    private func removeSegments(_ count: Int, of files: inout LaneFiles) throws(SpoolError) {
        guard count > 0 else { return }
        // Both slots: damage to one of them must not lead to a segment that is gone.
        for _ in 0..<2 {
            try writeCursor(&files)
            try disk.sync(files.lane.cursorName)
        }
        for _ in 0..<count {
            try disk.remove(files.segments[0].name)
            files.segments.removeFirst()
            files.hasNewNames = true
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
        let start = files.segments.lastIndex { $0.header.first.sequence <= place.sequence } ?? 0
        for index in files.segments.indices.dropFirst(start) {
            let segment = files.segments[index]
            let limit = files.limit(ofSegment: index)
            var reader = SegmentReader(disk, name: segment.name, size: segment.size, salt: segment.header.salt)
            var offset = SpoolFormat.headerSize
            if let resume = files.resume, resume.sequence == place.sequence, resume.segment == segment.header.number {
                offset = resume.offset
            }
            while true {
                // Frames before the place are passed over by their headers.
                if let header = try reader.header(at: offset), header.position.sequence < place.sequence {
                    offset += header.size
                    continue
                }
                switch try reader.item(at: offset) {
                case .frame(let header, let at, let payload) where header.position.sequence < limit:
                    if size > 0 && size + Int(header.length) > maximum {
                        files.resume = (piece.next.sequence, segment.header.number, at)
                        return piece
                    }
                    offset = at + header.size
                    if let payload {
                        let batch = SpoolBatch(
                            position: header.position,
                            records: header.records,
                            payload: Array(payload)
                        )
                        piece.batches.append(batch)
                        size += Int(header.length)
                        piece.next = header.end
                    } else {
                        // Where the damage is the last thing read, it is told by where reading goes on.
                        piece.next = max(piece.next, header.end)
                    }
                    continue
                case .damage(let range):
                    offset = range.upperBound
                    continue
                case .frame, .torn, .end: break
                }
                break
            }
            // What its frames do not reach up to the next segment is missing.
            let next = index + 1 < files.segments.count ? files.segments[index + 1].header.first : files.written
            piece.next = max(piece.next, next)
            if size >= maximum { break }
        }
        piece.next = max(piece.next, files.segments.isEmpty ? files.written : piece.next)
        files.resume = nil
        return piece
    }
}
