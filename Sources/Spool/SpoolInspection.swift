// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Batches that cannot be read any more.
public struct SpoolLoss: Equatable, Sendable, CustomStringConvertible {
    public enum Cause: Sendable {
        /// Their frame is there, and their bytes are not what was written.
        case damaged
        /// Their frames are not there.
        case missing
    }

    public var lane: String
    /// The segment in which they were found, or in which they should be.
    public var file: String
    public var cause: Cause
    /// The first of them, and the place behind the last.
    public var first: SpoolPosition
    public var end: SpoolPosition
    /// Had they all been confirmed, so that nothing is lost?
    public var wasConfirmed: Bool

    public var records: UInt64 { end.record - first.record }

    public var description: String {
        let batches = end.sequence - first.sequence
        return "\(file): \(batches) batches of lane \"\(lane)\" from \(first.sequence) on, \(records) records, are "
            + (cause == .damaged ? "damaged" : "missing") + (wasConfirmed ? "; they had been confirmed" : "")
    }
}

// Looking at a spool, whoever uses it: nothing is changed.
extension SpoolStore {
    /// What a folder holds, a running agent's or a copy.
    public static func inspecting(_ disk: any SpoolDisk) throws(SpoolError) -> SpoolStore {
        let store = SpoolStore(unopened: disk, segmentSize: defaultSegmentSize) { 0 }
        try store.open(changing: false)
        return store
    }

    /// Reads everything, and tells which batches are lost, lane by lane in order.
    public func verify() throws(SpoolError) -> [SpoolLoss] {
        var losses: [SpoolLoss] = []
        for name in lanes.keys.sorted() {
            guard let files = lanes[name] else { continue }
            try walk(files) {
                losses.append($0)
            } onBatch: { _ in
            }
        }
        return losses
    }

    /// Calls `body` for each batch of a lane that is not confirmed, in order.
    public func forEachBatch(
        of lane: SpoolLane,
        _ body: (SpoolBatch) throws(SpoolError) -> Void
    ) throws(SpoolError) {
        guard let files = lanes[lane.name] else { return }
        try walk(files) { _ in
        } onBatch: { batch throws(SpoolError) in
            if batch.position >= files.cursor.first { try body(batch) }
        }
    }

    private func walk(
        _ files: LaneFiles,
        onLoss: (SpoolLoss) -> Void,
        onBatch: (SpoolBatch) throws(SpoolError) -> Void
    ) throws(SpoolError) {
        guard let start = files.segments.first else { return }
        let begin = min(start.header.first, files.limit(ofSegment: 0))
        var expected = min(files.cursor.first, begin)
        func lost(_ cause: SpoolLoss.Cause, until end: SpoolPosition, in file: String) {
            guard expected < end else { return }
            // What was confirmed of it is no loss.
            if cause == .missing, expected < files.cursor.first, files.cursor.first < end {
                lost(.missing, until: files.cursor.first, in: file)
            }
            let loss = SpoolLoss(
                lane: files.lane.name,
                file: file,
                cause: cause,
                first: expected,
                end: end,
                wasConfirmed: end <= files.cursor.first
            )
            onLoss(loss)
            expected = end
        }
        lost(.missing, until: begin, in: start.name)
        for (index, segment) in files.segments.enumerated() where !files.isVoid(segment: index) {
            let limit = files.limit(ofSegment: index)
            var reader = SegmentReader(disk, name: segment.name, size: segment.size, salt: segment.header.salt)
            var offset = SpoolFormat.headerSize
            reading: while true {
                switch try reader.item(at: offset) {
                case .frame(let header, let at, let payload) where header.position < limit:
                    offset = at + header.size
                    // What was written again after a failure stands behind what it replaces.
                    guard header.position >= expected else { continue }
                    lost(.missing, until: header.position, in: segment.name)
                    guard let payload else {
                        lost(.damaged, until: header.end, in: segment.name)
                        continue
                    }
                    try onBatch(
                        SpoolBatch(position: header.position, records: header.records, payload: Array(payload))
                    )
                    expected = header.end
                case .damage(let range): offset = range.upperBound
                case .frame, .torn, .end: break reading
                }
            }
            lost(.missing, until: limit, in: segment.name)
        }
    }
}

// Mending one that no agent uses.
extension SpoolStore {
    /// Writes the readable batches of every damaged lane anew, and sets the old segments aside.
    ///
    /// - Returns: what could not be saved.
    public static func repair(
        _ disk: any SpoolDisk,
        clock: @escaping () -> UInt64
    ) throws(SpoolError) -> [SpoolLoss] {
        let store = try inspecting(disk)
        let losses = try store.verify()
        var marks = ""
        for name in Set(losses.map(\.lane)).sorted() {
            guard let files = store.lanes[name] else { continue }
            let isEmpty = try store.rewrite(files, clock: clock)
            marks += "\(files.lane.fileStem) \(files.nextNumber) \(isEmpty ? "nothing" : "some")\n"
        }
        if !marks.isEmpty {
            // From here on the new files count; a crash between the renames is made up for by whoever opens the folder.
            try disk.syncFolder()
            try disk.write(SpoolFormat.repairMark, at: 0, Array(marks.utf8))
            try disk.sync(SpoolFormat.repairMark)
            try disk.syncFolder()
        }
        // The rest is done, and what is left of a crash put in order, as an agent would.
        _ = try SpoolStore(disk: disk, clock: clock)
        return losses
    }

    /// Writes a lane's readable batches beside the old ones, under names that are no segments'.
    ///
    /// - Returns: whether there is none.
    private func rewrite(_ files: LaneFiles, clock: @escaping () -> UInt64) throws(SpoolError) -> Bool {
        let writer = SpoolStore(unopened: PrefixedDisk(disk), segmentSize: segmentSize, clock: clock)
        var place = files.cursor.first
        var new = LaneFiles(lane: files.lane)
        new.cursor.first = place
        new.cursor.synced = place
        new.written = place
        new.nextNumber = files.nextNumber
        writer.lanes[files.lane.name] = new
        try forEachBatch(of: files.lane) { batch throws(SpoolError) in
            let moved = SpoolBatch(position: place, records: batch.records, payload: batch.payload)
            _ = try writer.append([moved], to: files.lane, attempt: 0)
            place = moved.end
        }
        try writer.sync()
        return writer.lanes[files.lane.name]?.segments.isEmpty ?? true
    }

    /// Puts what a repair has written in place, all of it; or removes what one has not finished.
    func finishRepair() throws(SpoolError) {
        let names = try disk.names().sorted()
        let parts = names.filter { $0.hasPrefix(SpoolFormat.repairPrefix) && $0 != SpoolFormat.repairMark }
        guard names.contains(SpoolFormat.repairMark) else {
            for part in parts { try disk.remove(part) }
            return
        }
        let marks = try disk.read(SpoolFormat.repairMark, at: 0, count: 1 << 20)
        for line in String(decoding: marks, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count == 3, let first = UInt64(fields[1]) else { continue }
            for name in names where name.hasSuffix(SpoolFormat.segmentSuffix) {
                guard let (stem, number) = SpoolFormat.segment(name), stem == fields[0], number < first else {
                    continue
                }
                try disk.rename(name, to: try asideName(name))
            }
            if fields[2] == "nothing" { try disk.remove("\(fields[0])\(SpoolFormat.cursorSuffix)") }
        }
        for part in parts { try disk.rename(part, to: String(part.dropFirst(SpoolFormat.repairPrefix.utf8.count))) }
        try disk.syncFolder()
        try disk.remove(SpoolFormat.repairMark)
        try disk.syncFolder()
    }
}

/// The same folder, every name with a prefix.
private final class PrefixedDisk: SpoolDisk {
    private let disk: any SpoolDisk

    init(_ disk: any SpoolDisk) { self.disk = disk }

    func names() throws(SpoolError) -> [String] { try disk.names() }
    func size(of name: String) throws(SpoolError) -> Int { try disk.size(of: SpoolFormat.repairPrefix + name) }
    func read(_ name: String, at offset: Int, count: Int) throws(SpoolError) -> [UInt8] {
        try disk.read(SpoolFormat.repairPrefix + name, at: offset, count: count)
    }
    func write(_ name: String, at offset: Int, _ bytes: [UInt8]) throws(SpoolError) {
        try disk.write(SpoolFormat.repairPrefix + name, at: offset, bytes)
    }
    func truncate(_ name: String, to size: Int) throws(SpoolError) {
        try disk.truncate(SpoolFormat.repairPrefix + name, to: size)
    }
    func sync(_ name: String) throws(SpoolError) { try disk.sync(SpoolFormat.repairPrefix + name) }
    func syncFolder() throws(SpoolError) { try disk.syncFolder() }
    func remove(_ name: String) throws(SpoolError) { try disk.remove(SpoolFormat.repairPrefix + name) }
    func rename(_ name: String, to target: String) throws(SpoolError) {
        try disk.rename(SpoolFormat.repairPrefix + name, to: SpoolFormat.repairPrefix + target)
    }
}
