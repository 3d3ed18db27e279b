// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Syscalls

extension SpoolStore {
    /// Reads the headers of all segments, and the last segment of each lane.
    ///
    /// - Parameter changing: false for looking at the spool of a running agent, or at a copy.
    func open(changing: Bool) throws(SpoolError) {
        if changing { try finishRepair() }
        var cursors: [String: SpoolCursor] = [:]
        var found: [String: [LaneFiles.Segment]] = [:]
        let names = try disk.names().sorted().filter { !$0.hasPrefix(SpoolFormat.repairPrefix) }
        var highest: [String: UInt64] = [:]
        for case let (stem, number)? in names.map(SpoolFormat.segment) {
            highest[stem] = max(highest[stem] ?? 0, min(number, SpoolPosition.limit))
        }
        // Cursors first: what a running agent's cursor says has been synced is then in the segments.
        for name in names where name.hasSuffix(SpoolFormat.cursorSuffix) {
            guard let bytes = try readCursor(name, changing: changing) else { continue }
            if let cursor = SpoolCursor.read(bytes) {
                cursors[name] = cursor
            } else if let version = SpoolCursor.foreignVersion(bytes) {
                try setAside(name, "has version \(version), and this program knows \(SpoolFormat.version)", changing)
            } else {
                notes.append("\(name) is damaged: confirmed batches may be sent again")
                cursors[name] = SpoolCursor()
            }
        }
        for name in names {
            do throws(SpoolError) {
                if name.hasSuffix(SpoolFormat.asideSuffix) {
                    asideBytes += try disk.size(of: name)
                } else if name.hasSuffix(SpoolFormat.segmentSuffix),
                    let segment = try examine(name, changing: changing)
                {
                    found[segment.header.lane.name, default: []].append(segment)
                }
            } catch {
                // A running agent has removed it meanwhile.
                guard !changing, error.errno == .notFound else { throw error }
            }
        }
        for (name, segments) in found {
            var files = LaneFiles(lane: segments[0].header.lane)
            // A worker that died before this one may not have synced what it wrote.
            hasNewNames = true
            files.nextNumber = (highest[files.lane.fileStem] ?? 0) + 1
            files.segments = segments.sorted { $0.header.number < $1.header.number }
            // Without a cursor nothing is known to be confirmed, or to be safe.
            let start = files.segments.map(\.header.first).min() ?? .zero
            files.cursor.first = start
            files.cursor.synced = start
            if let cursor = cursors.removeValue(forKey: files.lane.cursorName), cursor.generation > 0 {
                files.cursor = cursor
            }
            try findEnd(of: &files, changing: changing)
            lanes[name] = files
            if files.isEmpty && changing { _ = try advance(files.lane, to: files.written, isFinal: true) }
        }
        for (name, cursor) in cursors {
            if cursor.first < cursor.synced {
                let records = cursor.synced.record - min(cursor.first.record, cursor.synced.record)
                notes.append("\(name): its segments are gone, and \(records) records with them")
            }
            if changing { try disk.remove(name) }
        }
    }

    private func examine(_ name: String, changing: Bool) throws(SpoolError) -> LaneFiles.Segment? {
        let size = try disk.size(of: name)
        switch SegmentHeader.read(try disk.read(name, at: 0, count: SpoolFormat.headerSize)) {
        case .header(let header):
            return LaneFiles.Segment(
                header: header,
                name: name,
                size: max(size, SpoolFormat.headerSize),
                isSynced: false
            )
        case .unknownVersion(let version):
            try setAside(name, "has version \(version), and this program knows \(SpoolFormat.version)", changing)
        case .damaged where size <= SpoolFormat.headerSize:
            // A crash came before its header was complete: there was nothing in it.
            if changing { try disk.remove(name) }
        case .damaged: try setAside(name, "does not begin as a segment does", changing)
        }
        return nil
    }

    private func setAside(_ name: String, _ reason: String, _ changing: Bool) throws(SpoolError) {
        guard changing else {
            notes.append("\(name) \(reason): it is not read")
            return
        }
        let target = try asideName(name)
        notes.append("\(name) \(reason): set aside as \(target)")
        try disk.rename(name, to: target)
        asideBytes += try disk.size(of: target)
        hasNewNames = true
    }

    /// A name that no file has.
    func asideName(_ name: String) throws(SpoolError) -> String {
        let names = Set(try disk.names())
        var number = 1
        var target = name + SpoolFormat.asideSuffix
        while names.contains(target) {
            number += 1
            target = "\(name).\(number)\(SpoolFormat.asideSuffix)"
        }
        return target
    }

    /// Nil when a running agent has removed it meanwhile.
    private func readCursor(_ name: String, changing: Bool) throws(SpoolError) -> [UInt8]? {
        do throws(SpoolError) {
            return try disk.read(name, at: 0, count: SpoolFormat.slotDistance + SpoolFormat.slotSize)
        } catch {
            guard !changing, error.errno == .notFound else { throw error }
            return nil
        }
    }

    /// Goes through the last segment. What was never finished behind its last frame is cut off.
    private func findEnd(of files: inout LaneFiles, changing: Bool) throws(SpoolError) {
        let index = files.segments.count - 1
        let segment = files.segments[index]
        let synced = files.cursor.synced
        var reader = SegmentReader(disk, name: segment.name, size: segment.size, salt: segment.header.salt)
        var offset = SpoolFormat.headerSize
        // Behind the last frame that counts, and where that is.
        var end = (position: segment.header.first, offset: offset)
        scan: while true {
            switch try reader.item(at: offset) {
            case .frame(let header, let at, let payload):
                offset = at + header.size
                // The last frames of a crash can be there without their bytes: nobody was told that they are safe.
                guard payload != nil || header.position < synced else { continue }
                guard header.position.sequence >= end.position.sequence else { continue }
                end = (header.end, offset)
                files.attempt = header.attempt
            case .damage(let range): offset = range.upperBound
            case .torn, .end: break scan
            }
        }
        files.written = max(end.position, synced, files.cursor.first)
        // What is missing before the place that was safe is told by the gap in front of the next segment.
        if end.position < synced { files.isSealed = true }
        if end.offset < segment.size {
            files.segments[index].size = end.offset
            if changing { try disk.truncate(segment.name, to: end.offset) }
        }
    }
}
