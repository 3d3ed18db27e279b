// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers
import ElkeidWire
public import Reactor
public import Spool

/// Decides what of an outbox is written to the disk, read back, and given up, and when. It has no file and no clock:
/// `next` gives what the disk should do, one thing at a time, and is told the answer.
///
/// While confirmations flow nothing is written. A batch that has waited for `age`, in flight or not, is written and
/// synced, at most every `interval`. While there is no connection memory is a cache of what was written: when half of it
/// is in use, everything is written and freed. A connection that is there but slow frees nothing: then the plugins are
/// held back, which is what pipes are for. A lane with a backlog on the disk goes on through the disk until that is
/// sent, so that other lanes are not held back by it.
public final class Spooler {
    private let outbox: Outbox
    private let pool: SlabPool
    private let arena: Arena
    public var policy: SpoolPolicy
    /// Is there a connection that takes records?
    public private(set) var isConnected: Bool {
        get { outbox.hasServer }
        set { outbox.hasServer = newValue }
    }
    /// Why the disk cannot be used.
    public var problem: String? {
        folderProblem ?? SpoolRequest.Kind.allCases.compactMap { failures[$0]?.reason }.first
    }
    private var folderProblem: String?
    /// Requests that the disk could not do: why, and when that kind is tried again. Other kinds go on meanwhile, and may
    /// make room; only success at the same shows that it is well again.
    private var failures: [SpoolRequest.Kind: (reason: String, retryAt: MonotonicTime)] = [:]
    private var isOpen = false
    private var isFinishing = false
    private var hasFailedAtTheEnd = false
    private var request: SpoolRequest?
    private var writing: (lane: Lane, batches: [Batch], end: SpoolPosition)?
    private var askedAt = MonotonicTime(nanoseconds: 0)
    /// Something was written since the last sync.
    private var isDirty = false
    private var nextTick = MonotonicTime(nanoseconds: 0)
    /// When the present look began: what had waited long enough then is written and synced before the next one.
    private var look: MonotonicTime?
    private var lastWritten: Lane?
    /// The lane whose records the disk did not take; it is tried after the others.
    private var failedLane: Lane?
    /// There is something to write, and nothing can be given up for it.
    private var isStuck = false
    private var replays = true
    private var readNext = false
    private var replayAllowed = MonotonicTime(nanoseconds: 0)
    private var lastRead: Lane?

    /// - Parameter pool: the memory that the batches are in.
    public init(outbox: Outbox, pool: SlabPool, policy: SpoolPolicy) {
        self.outbox = outbox
        self.pool = pool
        self.policy = policy
        arena = Arena(pool: pool)
    }

    // MARK: What happens

    public func connected() { isConnected = true }

    /// From now on memory is a cache of the disk: what is needed of it is freed.
    public func disconnected() {
        isConnected = false
        freeMemory(below: pool.limit / 2)
    }

    /// Nothing is read from the disk any more: what is in memory is sent, and then the agent ends.
    public func stopReplaying() { replays = false }

    /// From now on everything is written at once, and nothing is read: the agent ends.
    public func finish() {
        isFinishing = true
        replays = false
        // A disk that failed gets one more chance.
        for kind in failures.keys { failures[kind]?.retryAt = MonotonicTime(nanoseconds: 0) }
    }

    /// Is there nothing left to be done before the agent ends, or nothing that can be?
    public var isFinished: Bool {
        guard request == nil else { return false }
        return hasFailedAtTheEnd || !isUsable
            || !isDirty && outbox.lanes.allSatisfy { ($0.unwritten.isEmpty || isStuck) && !hasNews($0) }
    }

    /// Has some lane more on the disk than in memory?
    public var hasBacklog: Bool { outbox.lanes.contains(where: \.hasBacklog) }
    /// Bytes of the spool's files.
    public var bytes: Int { outbox.lanes.reduce(0) { $0 + $1.diskBytes } }
    /// Bytes of files that are kept and not used; they are beside the budget.
    public private(set) var asideBytes = 0

    private var isUsable: Bool { policy.disk > 0 && folderProblem == nil }

    /// The folder cannot be used; memory is all there is until it can.
    public func folderIsUnusable(_ reason: String) { folderProblem = reason }

    /// The folder can be used.
    public func folderIsUsable() { folderProblem = nil }

    // MARK: What to do

    /// What the disk should do now. The next request comes when this one is answered.
    public func next(at now: MonotonicTime) -> SpoolRequest? {
        if let request, failures[request.kind] == nil, now >= askedAt + policy.patience {
            failures[request.kind] = ("the disk has not answered for \(policy.patience)", now)
        }
        arena.releaseIfUnused()
        guard isUsable, request == nil else { return nil }
        guard let request = choose(at: now) else { return nil }
        self.request = request
        askedAt = now
        return request
    }

    private func choose(at now: MonotonicTime) -> SpoolRequest? {
        guard isOpen else { return waits(.open, at: now) ? nil : .open }
        if look == nil, now >= nextTick || isFinishing { look = now }
        // Reading takes turns with writing, so that neither waits for the other's end.
        if readNext, let request = nextToRead(at: now) {
            readNext = false
            return request
        }
        let maySync = !waits(.sync, at: now)
        if isDirty, maySync, let look, now >= look + policy.interval { return .sync }
        if !waits(.append, at: now), let request = nextToWrite(at: now) {
            readNext = true
            return request
        }
        if look != nil {
            if isDirty, maySync { return .sync }
            look = nil
        }
        if !waits(.advance, at: now),
            let lane = outbox.lanes.first(where: { hasNews($0) && (isFinishing || now >= $0.tellAt) })
        {
            return .advance(lane.spoolLane, to: lane.disk.first, isFinal: isFinal(lane) && lane.disk.isEmpty)
        }
        return nextToRead(at: now)
    }

    /// Has that kind of request failed, and is it not tried again yet?
    private func waits(_ kind: SpoolRequest.Kind, at now: MonotonicTime) -> Bool {
        failures[kind].map { now < $0.retryAt } ?? false
    }

    /// Is there a confirmation that the disk should know of?
    private func hasNews(_ lane: Lane) -> Bool {
        guard lane.diskBytes > 0 || lane.mayHaveLeftovers else { return false }
        return lane.disk.first > lane.toldFirst || isFinal(lane) && lane.disk.isEmpty
    }

    /// Should a lane with nothing left leave no file?
    private func isFinal(_ lane: Lane) -> Bool {
        lane.isRetired || isFinishing || lane.diskBytes >= policy.segmentSize / 4
    }

    // MARK: Writing

    private func nextToWrite(at now: MonotonicTime) -> SpoolRequest? {
        isStuck = false
        // Lanes take turns, beginning behind the last one.
        let lanes = outbox.lanes
        let last = failedLane ?? lastWritten
        let start = lanes.firstIndex { $0 === last }.map { $0 + 1 } ?? 0
        for lane in lanes[start...] + lanes[..<start] {
            guard let oldest = lane.unwritten.first else { continue }
            let writesAll = isPressed(lane)
            guard writesAll || isOld(oldest) else { continue }
            var batches: [Batch] = []
            var size = 0
            while let batch = lane.unwritten[batches.count], size == 0 || size + batch.byteCount <= piece {
                guard writesAll || isOld(batch) else { break }
                batches.append(batch)
                size += batch.byteCount + SpoolBatch.overhead
            }
            switch makeRoom(for: size + lane.newSegmentCost(policy.segmentSize)) {
            case .enough: return append(batches, to: lane)
            case .drop(let request) where !waits(.dropOldest, at: now): return request
            case .drop: isStuck = true
            case .none: isStuck = true
            }
        }
        return nil
    }

    /// Had it waited long enough when the present look began?
    private func isOld(_ batch: Batch) -> Bool { look.map { $0 >= batch.queuedAt + policy.writingAge } ?? false }

    /// Must the lane's records be on the disk whatever their age: the agent ends, or their memory is needed?
    private func isPressed(_ lane: Lane) -> Bool {
        isFinishing || pool.outstandingBytes > pool.limit / 2 && (!isConnected || lane.hasBacklog)
    }

    private enum Room {
        case enough
        case drop(SpoolRequest)
        case none
    }

    /// With no server the oldest segment of the lane that has most is given up, urgent lanes last.
    private func makeRoom(for size: Int) -> Room {
        // One batch that is larger than the whole spool.
        guard size <= policy.disk else { return .none }
        if bytes + size <= policy.disk { return .enough }
        guard policy.dropsOldest, !isConnected else { return .none }
        let lanes = outbox.lanes.filter { $0.diskBytes > 0 }
        let normal = lanes.filter { $0.priority == .normal }
        guard let victim = (normal.isEmpty ? lanes : normal).max(by: { $0.diskBytes < $1.diskBytes }) else {
            return .none
        }
        return .drop(.dropOldest(victim.spoolLane))
    }

    private func append(_ batches: [Batch], to lane: Lane) -> SpoolRequest {
        var end = lane.disk.end
        let stored = batches.map { batch in
            batch.place = end
            let stored = SpoolBatch(
                position: end,
                records: UInt32(clamping: batch.records.count),
                payload: batch.records.bytes.toArray()
            )
            end = stored.end
            return stored
        }
        writing = (lane, batches, end)
        lane.isBeingWritten = true
        lastWritten = lane
        return .append(lane.spoolLane, attempt: lane.attempt, stored)
    }

    // MARK: Reading

    private func nextToRead(at now: MonotonicTime) -> SpoolRequest? {
        guard isConnected, replays, now >= replayAllowed, !waits(.read, at: now) else { return nil }
        let lanes = outbox.lanes.filter { $0.hasBacklog && $0.front.bytes < policy.ahead }
        guard !lanes.isEmpty else { return nil }
        // What was written and waits behind the backlog gives its memory to what comes before it.
        if pool.headroom < piece { freeMemory(below: 1) }
        let index = lanes.firstIndex { $0 === lastRead }.map { ($0 + 1) % lanes.count } ?? 0
        let lane = lanes[index]
        lastRead = lane
        // When others have all the memory, each lane has a little beyond it: a backlog must not wait for what is behind
        // it.
        guard pool.headroom >= piece || lane.replayedBytes < min(policy.ahead, pool.limit / 4) else { return nil }
        return .read(lane.spoolLane, from: lane.cold.first, maximum: piece)
    }

    /// Bytes that are written, or read, at a time: not more than a segment, and a part of the memory.
    private var piece: Int { min(policy.piece, policy.segmentSize, pool.limit / 8) }

    // MARK: Answers

    /// The answer to the last request.
    public func completed(_ answer: SpoolAnswer, at now: MonotonicTime) {
        guard let asked = request else { return }
        request = nil
        if case .failed(let reason) = answer { return failed(reason, asked.kind, at: now) }
        succeeded(asked.kind)
        switch (asked, answer) {
        case (.open, .opened(let contents, let asideBytes, _)):
            isOpen = true
            self.asideBytes = asideBytes
            for lane in contents { outbox.recovered(lane) }
        case (.append, .appended(let bytes)):
            wereWritten(bytes)
            freeMemory(below: pool.limit / 2)
        case (.sync, .synced):
            isDirty = false
            nextTick = (look ?? now) + policy.interval
            look = nil
        case (.read(let place, let from, _), .piece(let piece)):
            guard let lane = outbox.lanes.first(where: { $0.spoolLane == place }) else { return }
            let size = piece.batches.reduce(0) { $0 + $1.payload.count }
            let pause = Int64(size) * 1_000_000_000 / Int64(max(1, policy.replayRate))
            replayAllowed = now + TimeSpan(nanoseconds: pause)
            outbox.read(piece, of: lane, from: from, into: arena, at: now)
            arena.releaseIfUnused()
        case (.advance(let place, let first, _), .advanced(let bytes)):
            guard let lane = outbox.lanes.first(where: { $0.spoolLane == place }) else { return }
            lane.toldFirst = first
            lane.tellAt = now + policy.interval
            lane.diskBytes = bytes
            if bytes == 0 { lane.mayHaveLeftovers = false }
            outbox.removeRetired()
        case (.dropOldest(let place), .dropped(let first, let bytes)):
            guard let lane = outbox.lanes.first(where: { $0.spoolLane == place }) else { return }
            lane.diskBytes = bytes
            outbox.gone(before: first, on: lane)
        default: failed("the answer does not fit the question", asked.kind, at: now)
        }
    }

    private func wereWritten(_ bytes: Int) {
        guard let (lane, batches, end) = writing else { return }
        writing = nil
        isDirty = true
        lane.isBeingWritten = false
        lane.diskBytes = bytes
        outbox.written(batches, on: lane, end: end)
    }

    private func succeeded(_ kind: SpoolRequest.Kind) {
        guard kind == .append else {
            failures[kind] = nil
            // What could not be written may have been confirmed meanwhile.
            if failedLane?.unwritten.isEmpty == true { appendingIsWell() }
            return
        }
        // Small records of another lane may fit where those that failed do not.
        if failedLane == nil || failedLane === writing?.lane || failedLane?.unwritten.isEmpty == true {
            appendingIsWell()
        }
    }

    private func appendingIsWell() {
        failures[.append] = nil
        failedLane = nil
    }

    private func failed(_ reason: String, _ kind: SpoolRequest.Kind, at now: MonotonicTime) {
        if let (lane, batches, _) = writing {
            writing = nil
            lane.isBeingWritten = false
            lane.mayHaveLeftovers = true
            failedLane = lane
            outbox.notWritten(batches, on: lane)
        }
        failures[kind] = (reason, now + policy.retry)
        hasFailedAtTheEnd = isFinishing
    }

    // MARK: Memory

    /// Frees memory of what is on the disk, down to that many bytes in use, or as far as it goes. While there is a
    /// connection only what waits behind a backlog is freed.
    private func freeMemory(below limit: Int) {
        for keeping in [piece, 0] {
            guard pool.outstandingBytes > limit else { return }
            for lane in outbox.lanes where !isConnected || lane.hasBacklog {
                _ = outbox.evict(lane, keeping: isConnected ? .max : keeping)
            }
        }
    }

    /// Memory is full, and somebody waits for it: without a server, and without a disk that takes anything, the oldest
    /// records are given up.
    ///
    /// - Returns: whether any memory may have become free.
    public func relieveMemory(at now: MonotonicTime) -> Bool {
        guard !isConnected else { return false }
        let enough = pool.slabSize * 2
        if pool.headroom < enough { freeMemory(below: pool.limit - enough) }
        if pool.headroom >= enough { return true }
        guard policy.dropsOldest else { return false }
        let hangs = request.map { failures[$0.kind] != nil } ?? false
        let takesNothing = [.open, .append, .dropOldest].contains { failures[$0] != nil }
        guard !isUsable || takesNothing || hangs || isStuck else { return false }
        return outbox.dropOldestInMemory { pool.headroom < enough }
    }

    // MARK: Time

    /// When `next`, which has just given nothing, should be asked again without anything having happened; nil when only an
    /// event can change that.
    public func due(at now: MonotonicTime) -> MonotonicTime? {
        guard isUsable else { return nil }
        if let request {
            return failures[request.kind] == nil ? max(now + policy.interval, askedAt + policy.patience) : nil
        }
        var due: MonotonicTime?
        func at(_ time: MonotonicTime) { due = min(due ?? .distantFuture, time) }
        if isDirty && !waits(.sync, at: now) { at(max(nextTick, look.map { $0 + policy.interval } ?? now)) }
        for lane in outbox.lanes {
            if !waits(.append, at: now), let oldest = lane.unwritten.first {
                at(isPressed(lane) ? now : max(nextTick, oldest.queuedAt + policy.writingAge))
            }
            if !waits(.advance, at: now), hasNews(lane) { at(lane.tellAt) }
            if isConnected, replays, !waits(.read, at: now), lane.hasBacklog, lane.front.bytes < policy.ahead {
                at(max(now, replayAllowed))
            }
        }
        for (_, retryAt) in failures.values where retryAt > now { at(retryAt) }
        // What is due and could not be done waits for memory, or for room on the disk.
        return due.map { $0 > now ? $0 : now + policy.interval }
    }
}

extension Lane {
    /// Bytes that a header may add.
    fileprivate func newSegmentCost(_ segmentSize: Int) -> Int { diskBytes == 0 || diskBytes >= segmentSize ? 2048 : 0 }
}
