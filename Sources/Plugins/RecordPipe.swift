// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
public import Delivery
public import ElkeidWire
public import Reactor
public import Syscalls

/// What a record pipe tells the plugin it belongs to.
public protocol RecordPipeOwner: AnyObject {
    /// Frames were left out; the counts are of this pipe since its beginning.
    func leftOut(_ count: UInt64, last reason: MalformedRecord, by pipe: RecordPipe)
    /// Where the next frame starts is not known any more: the plugin must be stopped.
    func streamLost(_ error: StreamLost, by pipe: RecordPipe)
    /// Everything that will ever come has been read, and the descriptor is closed.
    func drained(_ pipe: RecordPipe)
}

/// Reads one pipe of a plugin into one lane.
public final class RecordPipe: ReadinessHandler {
    /// What the pipe is asked to hold, where the kernel allows.
    static let wantedCapacity = 1 << 20
    /// Bytes read in one turn before other sources have theirs.
    static let turnBudget = 256 << 10
    /// A slab with less room is not worth a system call.
    static let usefulRoom = 16 << 10

    private let intake: Intake
    public let lane: Lane
    private weak var owner: (any RecordPipeOwner)?
    private var source: Source?
    private var splicer: FrameSplicer
    private var moderation: Moderation
    private var counted: (accepted: UInt64, malformed: UInt64) = (0, 0)
    /// The writer has ended: what is in the pipe is all that will come.
    private var isDraining = false
    /// Bytes that may be read beyond the limit of memory then: what the pipe can hold. Its end must not wait for a server.
    private var drainAllowance = 0
    /// Bytes read so far, framing included.
    public private(set) var bytesRead: UInt64 = 0
    /// Bytes read since `moderation` was asked last.
    private var unsettledBytes = 0
    /// Is it in one of the intake's lists?
    var isParked = false

    public init(_ descriptor: consuming FileDescriptor, intake: Intake, lane: Lane, owner: any RecordPipeOwner) {
        descriptor.growPipe(to: Self.wantedCapacity)
        self.intake = intake
        self.lane = lane
        self.owner = owner
        splicer = FrameSplicer(messageSize: intake.messageSize)
        moderation = Moderation(linger: intake.linger, pipeCapacity: descriptor.pipeCapacity)
        source = intake.reactor.watch(descriptor, for: .read, handler: self)
    }

    /// Bytes held of a record that is not complete.
    var partialBytes: Int { splicer.partialBytes }
    public var accepted: UInt64 { splicer.accepted }
    public var malformed: UInt64 { splicer.malformed }

    public func handle(_ readiness: Readiness, of source: Source) { readBurst() }

    /// The deadline of what was read before: it goes out, with what came since.
    func lingerEnded() {
        readBurst()
        cutOpen()
    }

    /// The plugin's process has ended: read what is left and close. The end of the file may never come, since
    /// grandchildren can hold the pipe.
    public func drain() {
        guard source != nil, !isDraining else { return }
        isDraining = true
        drainAllowance = Self.wantedCapacity
        readBurst()
    }

    /// Reads until the pipe is empty, the turn's budget is used up, or there is no memory.
    func readBurst(beyondLimit: Bool = false) {
        if isParked { intake.forget(self) }
        var total = 0
        var mayExceed = beyondLimit
        while let source, total < Self.turnBudget {
            if drainAllowance > 0 { mayExceed = true }
            guard mayExceed || !intake.isHeldBack(lane),
                let slab = intake.arena.slab(room: Self.usefulRoom, beyondLimit: mayExceed)
            else {
                // More than the pipe held has come since its process ended: grandchildren's, who may write for ever.
                if isDraining { return finish() }
                source.wait(for: [])
                unsettledBytes += total
                // It waits before its batch is there: taking that at once makes room.
                intake.waitForRoom(self)
                cutOpen()
                intake.heldBack()
                return
            }
            mayExceed = false
            let asked = slab.room
            let (result, segment) = slab.append { output in source.withDescriptor { $0.read(into: &output) } }
            switch result {
            case .bytes(0): return finish()
            case .bytes(let count):
                total += count
                drainAllowance = max(0, drainAllowance - count)
                bytesRead += UInt64(count)
                guard splice(segment) else { return }
                // A short read emptied the pipe: asking again would only say so. When draining, be sure.
                if count < asked && !isDraining { return settle(total) }
            case .wouldBlock:
                if isDraining { return finish() }
                return settle(total)
            case .failed:
                // read(2) knows no failure for a pipe that its reader can do anything about: it is over.
                return finish()
            }
        }
        guard let source else { return }
        source.wait(for: [])
        unsettledBytes += total
        intake.stream(self)
    }

    /// Splices what was read. False when the stream is lost and the pipe closed.
    private func splice(_ segment: Segment) -> Bool {
        do throws(StreamLost) {
            try splicer.splice(segment, arena: intake.arena) { intake.enqueue($0, on: lane) }
            count()
            return true
        } catch {
            count()
            finish(lost: error)
            return false
        }
    }

    private func count() {
        let accepted = splicer.accepted - counted.accepted
        let malformed = splicer.malformed - counted.malformed
        counted = (splicer.accepted, splicer.malformed)
        intake.outbox.received(accepted: accepted, malformed: malformed, on: lane)
        if malformed > 0, let reason = splicer.lastMalformed { owner?.leftOut(malformed, last: reason, by: self) }
    }

    /// Chooses how to wait for the next bytes, after a burst of `total`.
    private func settle(_ total: Int) {
        guard let source else { return }
        let earlier = unsettledBytes
        unsettledBytes = 0
        switch moderation.didRead(total, after: earlier, at: MonotonicTime.now()) {
        case .stream:
            source.wait(for: [])
            intake.stream(self)
        case .linger(let wait):
            source.wait(for: [])
            // What came before this burst has waited its time; what came now waits for company.
            intake.linger(self, for: wait)
            if splicer.openBytes >= intake.messageSize / 2 { cutOpen() }
        case .watch:
            cutOpen()
            source.wait(for: .read)
        }
    }

    func cutOpen() {
        if let batch = splicer.cut() { intake.enqueue(batch, on: lane) }
    }

    private func finish(lost: StreamLost? = nil) {
        intake.forget(self)
        source?.close()
        source = nil
        cutOpen()
        let owner = self.owner
        if lost == nil && !splicer.isAtFrameBoundary {
            intake.outbox.received(accepted: 0, malformed: 1, on: lane)
            owner?.leftOut(1, last: .pastTheEnd, by: self)
        }
        if let lost { owner?.streamLost(lost, by: self) }
        owner?.drained(self)
    }
}
