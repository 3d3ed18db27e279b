// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Buffers
public import Delivery
import ElkeidWire
public import Reactor

/// What all record pipes share: the memory they read into, the outbox they fill, and one deadline.
///
/// All lingering pipes are read when the earliest of their deadlines is due, so fifty trickling plugins cost one
/// wakeup. When memory is used up reading stops, and the pipes hold the plugins back; it goes on as batches are
/// confirmed.
public final class Intake {
    let reactor: Reactor
    let arena: Arena
    let outbox: Outbox
    public let linger: TimeSpan
    public let messageSize: Int
    /// Called when the outbox has something new.
    private let onBatch: () -> Void
    private var lingering: [RecordPipe] = []
    private var streaming: [RecordPipe] = []
    private var waitingForRoom: [RecordPipe] = []
    private lazy var deadline = reactor.makeTimer { [unowned self] in self.lingerEnded() }
    /// Called when a pipe had to stop for want of memory.
    public var onShortage: (() -> Void)?
    private lazy var nextTurn = reactor.makeDeferred { [unowned self] in self.streamTurn() }

    public init(
        pool: SlabPool,
        outbox: Outbox,
        reactor: Reactor,
        linger: TimeSpan,
        messageSize: Int,
        onBatch: @escaping () -> Void
    ) {
        self.reactor = reactor
        self.outbox = outbox
        self.linger = linger
        self.messageSize = messageSize
        self.onBatch = onBatch
        arena = Arena(pool: pool)
        outbox.onRoom = { [unowned self] in if !self.waitingForRoom.isEmpty { self.goOn.schedule() } }
    }

    func enqueue(_ batch: RecordBatch, on lane: Lane) {
        outbox.enqueue(batch, on: lane)
        onBatch()
    }

    func linger(_ pipe: RecordPipe, for wait: TimeSpan) {
        lingering.append(pipe)
        pipe.isParked = true
        let due = MonotonicTime.now() + wait
        if due < deadline.deadline { deadline.arm(at: due) }
    }

    func stream(_ pipe: RecordPipe) {
        streaming.append(pipe)
        pipe.isParked = true
        nextTurn.schedule()
    }

    func waitForRoom(_ pipe: RecordPipe) {
        waitingForRoom.append(pipe)
        pipe.isParked = true
    }

    func forget(_ pipe: RecordPipe) {
        pipe.isParked = false
        lingering.removeAll { $0 === pipe }
        streaming.removeAll { $0 === pipe }
        waitingForRoom.removeAll { $0 === pipe }
        if lingering.isEmpty { deadline.cancel() }
    }

    private func lingerEnded() {
        let pipes = lingering
        lingering.removeAll(keepingCapacity: true)
        for pipe in pipes where pipe.isParked { resume(pipe) { $0.lingerEnded() } }
        arena.releaseIfUnused()
    }

    private func streamTurn() {
        let pipes = streaming
        streaming.removeAll(keepingCapacity: true)
        for pipe in pipes where pipe.isParked { resume(pipe) { $0.readBurst() } }
    }

    /// The pipe has left its list; it chooses its next place itself. One that was closed by another's turn is not
    /// parked any more.
    private func resume(_ pipe: RecordPipe, _ body: (RecordPipe) -> Void) {
        pipe.isParked = false
        body(pipe)
    }

    /// Batches were confirmed: pipes that were held back go on. When nothing is left to confirm and memory is still
    /// used up by records that are not complete, the one that has most goes on beyond the limit: only its end can
    /// free any.
    public func memoryReleased() {
        guard !waitingForRoom.isEmpty else {
            if outbox.isIdle { arena.releaseIfUnused() }
            return
        }
        if arena.pool.headroom >= arena.pool.slabSize {
            let pipes = waitingForRoom
            waitingForRoom.removeAll(keepingCapacity: true)
            for pipe in pipes where pipe.isParked { resume(pipe) { $0.readBurst() } }
        } else if outbox.holdsNothing, let largest = waitingForRoom.max(by: { $0.partialBytes < $1.partialBytes }) {
            for pipe in waitingForRoom { pipe.cutOpen() }
            guard outbox.holdsNothing else { return }
            waitingForRoom.removeAll { $0 === largest }
            resume(largest) { $0.readBurst(beyondLimit: true) }
        }
    }

    private lazy var goOn = reactor.makeDeferred { [unowned self] in self.memoryReleased() }

    /// With a server, a lane that has enough in the queue leaves the rest in its pipe. One that waits for its backlog on the disk
    /// may not have all the memory: others are not to wait for it.
    func isHeldBack(_ lane: Lane) -> Bool {
        outbox.hasEnough(lane) || outbox.hasServer && lane.hasBacklog && lane.memoryBytes > arena.pool.limit / 2
    }

    /// Do pipes wait for memory that there is not?
    public var isShortOfMemory: Bool { !waitingForRoom.isEmpty && arena.pool.headroom < arena.pool.slabSize }

    /// Checks the case that `memoryReleased` describes when the last pipe stops without any batch under way.
    func heldBack() { nudge.schedule() }
    private lazy var nudge = reactor.makeDeferred { [unowned self] in
        if self.outbox.holdsNothing { self.memoryReleased() }
        if self.isShortOfMemory { self.onShortage?() }
    }
}
