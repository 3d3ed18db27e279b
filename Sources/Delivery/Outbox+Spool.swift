// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import ElkeidWire
import Reactor
import Spool

// Between memory and the disk. Nothing here decides anything: the `Spooler` does.
extension Outbox {
    // MARK: Found on the disk

    /// What an agent before this one left. Its records stand before all that is not sent yet.
    func recovered(_ contents: SpoolContents) {
        let priority: Lane.Priority = contents.lane.isUrgent ? .urgent : .normal
        let known = lanes.first { $0.name == contents.lane.name && $0.priority == priority }
        // Until its plugin is started, if it ever is.
        let isRetired = known?.isRetired ?? true
        let lane = addLane(name: contents.lane.name, priority: priority)
        lane.isRetired = isRetired
        lane.disk = PlaceRange(first: contents.first, end: contents.end)
        lane.cold = lane.disk
        lane.toldFirst = contents.first
        lane.diskBytes = contents.bytes
        // Nobody knows which of them were on their way.
        lane.sentThrough = contents.end.sequence
        lane.ledger.received += contents.records
        lane.ledger.spooled += contents.records
        if known != nil { lane.giveWay(onTheirWay: onTheirWay(lane)) }
        onRoom?()
    }

    // MARK: To the disk

    /// The disk has these, up to `end`.
    func written(_ batches: [Batch], on lane: Lane, end: SpoolPosition) {
        lane.disk.end = end
        for batch in batches where !batch.isDone {
            batch.isWritten = true
            guard !batch.isInFlight else { continue }
            lane.ledger.queued -= batch.count
            lane.ledger.spooled += batch.count
        }
        while let batch = lane.unwritten.first, batch.isWritten || batch.isDone { lane.unwritten.popFirst() }
    }

    /// The disk has not taken them: their places are given again.
    func notWritten(_ batches: [Batch], on lane: Lane) {
        lane.attempt &+= 1
        for batch in batches { batch.place = nil }
        lane.disk.first = min(lane.disk.first, lane.disk.end)
    }

    /// Frees the memory of batches that are on the disk and wait, but for the first `keeping` bytes of the lane.
    ///
    /// - Returns: whether any memory was freed.
    func evict(_ lane: Lane, keeping bytes: Int) -> Bool {
        let before = residentBatches
        if lane.cold.isEmpty {
            evictFromFront(lane, keeping: bytes)
        } else {
            while let batch = lane.fresh.first, batch.isSpooled, batch.place == lane.cold.end, let end = batch.end {
                lane.fresh.popFirst()
                lane.cold.end = end
                forget(batch)
            }
            while lane.front.bytes > bytes, let batch = lane.front.last, batch.isSpooled, batch.end == lane.cold.first,
                let place = batch.place
            {
                _ = lane.front.popLast()
                lane.cold.first = place
                forget(batch)
            }
        }
        return residentBatches != before
    }

    /// The batches that stay come first; then a run that is on the disk; the rest is fresh.
    private func evictFromFront(_ lane: Lane, keeping bytes: Int) {
        var kept = 0
        var index = 0
        while let batch = lane.front[index], kept + batch.byteCount <= bytes || !batch.isSpooled {
            kept += batch.byteCount
            index += 1
        }
        guard let first = lane.front[index]?.place else { return }
        let all = lane.front.all
        var end = first
        var next = index
        while next < all.count, all[next].isSpooled, all[next].place == end, let behind = all[next].end {
            end = behind
            forget(all[next])
            next += 1
        }
        lane.front.removeAll { _ in true }
        for batch in all[..<index] { lane.front.append(batch) }
        for batch in all[next...] { lane.fresh.append(batch) }
        lane.cold = PlaceRange(first: first, end: end)
    }

    private func forget(_ batch: Batch) {
        went(batch)
        if batch.isReplayed { batch.lane.replayedBytes -= batch.byteCount }
        guard batch.wasSent, let end = batch.end else { return }
        batch.lane.sentThrough = max(batch.lane.sentThrough, end.sequence)
    }

    // MARK: From the disk

    /// A piece of the lane's cold batches was read, from where `place` says.
    func read(
        _ piece: SpoolStore.Piece,
        of lane: Lane,
        from place: SpoolPosition,
        into arena: Arena,
        at now: MonotonicTime
    ) {
        guard !lane.cold.isEmpty, lane.cold.first == place else { return }
        var expected = place
        for stored in piece.batches where stored.position >= expected && stored.position < lane.cold.end {
            damaged(from: expected, to: stored.position, on: lane)
            var chain = BufferChain()
            unsafe arena.append(stored.payload.span.bytes, to: &chain)
            let records = RecordBatch(encoded: chain, count: Int(stored.records))
            let batch = Batch(records, lane: lane, at: now, isCarriedOver: true)
            batch.place = stored.position
            batch.isWritten = true
            batch.isReplayed = true
            lane.replayedBytes += batch.byteCount
            batch.wasSent = stored.position.sequence < lane.sentThrough
            lane.front.append(batch)
            came(batch)
            expected = stored.end
        }
        // Without any progress there is nothing left there.
        let next = piece.next > place ? min(piece.next, lane.cold.end) : lane.cold.end
        damaged(from: expected, to: next, on: lane)
        lane.cold.first = max(expected, next)
        lane.coldChanged()
        lane.forgetWhatIsDone()
        activate(lane)
        removeRetired()
    }

    private func damaged(from expected: SpoolPosition, to place: SpoolPosition, on lane: Lane) {
        guard place.record > expected.record else { return }
        let count = min(place.record - expected.record, lane.ledger.spooled)
        lane.ledger.spooled -= count
        lane.ledger.drop(count, .damaged)
    }

    // MARK: Given up

    /// The disk has nothing before `place` any more; nor has memory, which is a cache of it.
    func gone(before place: SpoolPosition, on lane: Lane) {
        let first = min(place, lane.disk.end)
        let given = (lane.front.all + lane.fresh.all).filter { batch in
            batch.isSpooled && batch.place.map { $0 < first } == true
        }
        for batch in given {
            lane.ledger.spooled -= batch.count
            lane.ledger.drop(batch.count, .spoolFull)
            done(batch)
        }
        lane.front.removeAll(where: \.isDone)
        lane.fresh.removeAll(where: \.isDone)
        lane.disk.first = max(lane.disk.first, first)
        if !lane.cold.isEmpty && lane.cold.first < first {
            let next = min(first, lane.cold.end)
            let count = next.record - lane.cold.first.record
            lane.ledger.spooled -= count
            lane.ledger.drop(count, .spoolFull)
            lane.cold.first = next
            lane.coldChanged()
            activate(lane)
        }
        lane.forgetWhatIsDone()
        removeRetired()
        onRoom?()
    }

    /// Gives up the oldest batches that wait in memory alone, while `isNeeded`: of the lane that has most there, urgent
    /// ones last. What the disk has, or is being given, is not lost yet.
    ///
    /// - Returns: whether there were any.
    func dropOldestInMemory(while isNeeded: () -> Bool) -> Bool {
        var any = false
        while isNeeded() {
            let candidates = lanes.filter { $0.droppable != nil }
            let normal = candidates.filter { $0.priority == .normal }
            guard let lane = (normal.isEmpty ? candidates : normal).max(by: { $0.memoryBytes < $1.memoryBytes }),
                let batch = lane.droppable
            else { break }
            lane.remove(batch)
            lane.ledger.queued -= batch.count
            lane.ledger.drop(batch.count, .memoryFull)
            done(batch)
            any = true
        }
        removeRetired()
        return any
    }
}

extension Batch {
    /// Does it wait in memory alone?
    fileprivate var isDroppable: Bool { !isInFlight && !isDone && place == nil }
}

extension Lane {
    public var memoryBytes: Int { front.bytes + fresh.bytes }

    /// The oldest batch that is in memory alone and waits: behind those that are being written, which are few.
    fileprivate var droppable: Batch? {
        var index = 0
        while let batch = unwritten[index] {
            if batch.isDroppable { return batch }
            index += 1
        }
        return nil
    }

    /// Takes a batch that waits out of the queue, as a rule from its head.
    fileprivate func remove(_ batch: Batch) {
        if front.first === batch {
            front.popFirst()
        } else if fresh.first === batch {
            fresh.popFirst()
        } else {
            front.removeAll { $0 === batch }
            fresh.removeAll { $0 === batch }
        }
        if unwritten.first === batch { unwritten.popFirst() } else { unwritten.removeAll { $0 === batch } }
    }
}
