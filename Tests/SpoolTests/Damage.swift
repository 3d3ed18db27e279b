// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import TestSupport

/// A copy of the small spool with one file that is not as it was, and what that may cost.
struct Damage {
    let spool: SmallSpool
    let disk: MemoryDisk
    let file: String
    let text: String
    /// Numbers of the frames that are not whole any more.
    let lost: Set<Int>
    /// Nothing of the segment can be read, not even what had been confirmed in it.
    let isSegmentGone: Bool

    /// - Parameter bytes: what the file has now; nil when it is not there any more.
    init(_ spool: SmallSpool, _ file: String, _ text: String, _ bytes: [UInt8]?, isSegmentGone: Bool? = nil) {
        self.spool = spool
        self.file = file
        self.text = "\(file), \(text)"
        let before = spool.disk.contents(of: file)
        disk = spool.disk.copy()
        if let bytes { disk.set(file, bytes) } else { try? disk.remove(file) }
        let left = bytes ?? []
        let isGone = isSegmentGone ?? (file.hasSuffix(".spool") && left.count < Bytes.copySize)
        self.isSegmentGone = isGone
        lost = spool.frames(of: file) { range in
            isGone || range.upperBound > left.count || !areEqual(left[range], before[range])
        }
    }

    private func check(_ condition: Bool, _ what: @autoclosure () -> String) throws(Contradiction) {
        guard condition else { throw Contradiction("\(text): \(what())") }
    }

    private func isCursorDamaged(_ lane: SpoolLane) -> Bool { file == "\(lane.name).cursor" }
    private func isGone(_ lane: SpoolLane) -> Bool { isSegmentGone && lane.name == "b" && file.hasPrefix("b-") }

    private func frames(of lane: SpoolLane, where isWanted: (Int) -> Bool) -> [Int] {
        spool.frames.indices.filter { spool.frames[$0].lane == lane && isWanted($0) }
    }

    private func intact(_ lane: SpoolLane) -> [SpoolBatch] {
        frames(of: lane) { !lost.contains($0) }.map { spool.frames[$0].batch }
    }

    // MARK: Looking

    func checkInspection() throws {
        let before = try disk.snapshot()
        let store = try SpoolStore.inspecting(disk)
        let losses = try store.verify()
        try check(disk.snapshot() == before, "looking has changed something")
        for lane in SmallSpool.lanes {
            if isGone(lane) {
                // Only its cursor is left.
                let isTold = store.notes.contains { $0.hasPrefix("\(lane.name).cursor") }
                try check(isTold && !losses.contains { $0.lane == lane.name }, "\(store.notes)")
                continue
            }
            try checkLosses(losses.filter { $0.lane == lane.name }, lane)
            try checkWaiting(store, lane)
        }
        try check(losses.allSatisfy { ["a", "b"].contains($0.lane) }, "\(losses)")
    }

    /// Exactly the places that are lost are reported.
    private func checkLosses(_ losses: [SpoolLoss], _ lane: SpoolLane) throws {
        var reported = Set<Int>()
        var place: UInt64 = 0
        for loss in losses {
            try check(place <= loss.first.sequence && loss.first < loss.end, "\(losses)")
            place = loss.end.sequence
            let affected = frames(of: lane) {
                let position = spool.frames[$0].batch.position
                return loss.first <= position && position < loss.end
            }
            guard let first = affected.first, let last = affected.last else {
                throw Contradiction("\(text): \(loss) was never there")
            }
            let extent = spool.frames[first].batch.position...spool.frames[last].batch.end
            try check(loss.first == extent.lowerBound && loss.end == extent.upperBound, "\(loss) is not \(extent)")
            try check(loss.wasConfirmed == (loss.end.sequence <= SmallSpool.confirmed(lane)), "\(loss)")
            reported.formUnion(affected)
        }
        // Of a segment that is gone nobody knows what it had that was confirmed.
        let known = Set(frames(of: lane) { !isSegmentGone || !spool.frames[$0].isConfirmed })
        let wanted = lost.intersection(known)
        try check(reported.intersection(known) == wanted, "\(losses), and lost are frames \(wanted.sorted())")
        try check(reported.isSubset(of: lost), "\(losses), and lost are frames \(lost.sorted())")
    }

    /// Whatever is intact and not confirmed is there, and in order.
    private func checkWaiting(_ store: SpoolStore, _ lane: SpoolLane) throws {
        var found: [SpoolBatch] = []
        try store.forEachBatch(of: lane) { found.append($0) }
        try checkBatches(found, lane)
    }

    private func checkBatches(_ found: [SpoolBatch], _ lane: SpoolLane) throws {
        let own = intact(lane)
        let confirmed = SmallSpool.confirmed(lane)
        // With a damaged cursor those that were confirmed may come again.
        let from = isCursorDamaged(lane) ? found.first?.position.sequence ?? confirmed : confirmed
        let wanted = own.filter { $0.position.sequence >= min(from, confirmed) }
        try check(areSame(found, wanted), "\(places(found)) are there, not \(places(wanted))")
    }

    // MARK: Opening

    func checkOpening(goesOn: Bool) throws {
        let store = try SpoolStore(disk: disk, segmentSize: SmallSpool.segmentSize) { 0 }
        for lane in SmallSpool.lanes {
            guard let own = store.contents(of: lane), let end = spool.end(of: lane) else {
                try check(isGone(lane), "lane \(lane.name) is not there")
                continue
            }
            let confirmed = SmallSpool.confirmed(lane)
            let isKnown = own.first.sequence == confirmed
            try check(isKnown || isCursorDamaged(lane) && own.first.sequence < confirmed, "\(own)")
            try check(own.end == end, "\(own), not to \(end)")
            let found = try store.readAll(lane, from: own.first, maximum: 100)
            try checkBatches(found, lane)
            guard goesOn else { continue }
            var line = BatchLine(from: own.end)
            let new = line.next(2, size: 50)
            _ = try store.append(new, to: lane, attempt: 0)
            try store.sync()
            let next = try SpoolStore(disk: disk, segmentSize: SmallSpool.segmentSize) { 0 }
            let all = try next.readAll(lane, from: own.first)
            try check(areSame(all, found + new), "\(places(all)) after \(places(found + new)) were there")
        }
    }

    // MARK: Repair

    func checkRepair() throws {
        let before = try disk.snapshot()
        let wanted = try SpoolStore.inspecting(disk).verify()
        let losses = try SpoolStore.repair(disk) { 0 }
        try check(losses == wanted, "\(losses), not \(wanted)")
        let store = try SpoolStore.inspecting(disk)
        let left = try store.verify()
        try check(left.isEmpty, "\(left) after the repair")
        let names = try disk.names()
        try check(!names.contains { $0.hasPrefix("repaired") }, "\(names)")
        for lane in SmallSpool.lanes where !isGone(lane) {
            let isRewritten = losses.contains { $0.lane == lane.name }
            if isRewritten {
                try checkRewritten(store, lane)
            } else {
                try checkWaiting(store, lane)
            }
            for (name, bytes) in before where name.hasPrefix("\(lane.name)-") && !(isSegmentGone && name == file) {
                let kept = disk.contents(of: isRewritten ? "\(name).aside" : name)
                try check(areEqual(kept, bytes), "\(name) has not been kept")
            }
        }
    }

    /// The batches are the same, one behind the other, whatever their places are.
    private func checkRewritten(_ store: SpoolStore, _ lane: SpoolLane) throws {
        var found: [SpoolBatch] = []
        try store.forEachBatch(of: lane) { found.append($0) }
        let wanted = intact(lane).filter { $0.position.sequence >= SmallSpool.confirmed(lane) }
        let areThere = found.elementsEqual(wanted) {
            $0.records == $1.records && areEqual($0.payload, $1.payload)
        }
        try check(areThere, "\(places(found)) instead of \(places(wanted))")
        try check(zip(found, found.dropFirst()).allSatisfy { $0.end == $1.position }, "a gap in \(places(found))")
    }
}
