// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import DiskWorker
import Logging
import Reactor
import Spool
import Syscalls

/// Carries out what the `Spooler` decides, in a disk worker of its own: nothing waits there behind a walk of folders.
final class SpoolDriver {
    /// Longer than one look follows another while there is something to write.
    private static let workerIdle = TimeSpan.seconds(5)
    /// A file of the spool's folder, locked while an agent uses it.
    static let lockName = "lock"

    /// Something that waits for the spool, and what the spool needs of others.
    struct Outlet {
        /// Batches can be sent that were not there before.
        var ready: () -> Void
        /// Memory may have become free.
        var memoryFreed: () -> Void
        /// Does anybody wait for memory?
        var isShortOfMemory: () -> Bool
        /// The spool's files have changed for good: a good moment to note the ledger.
        var synced: () -> Void
        /// What was found at the start, in records.
        var opened: (UInt64) -> Void
    }

    let spooler: Spooler
    let path: String
    private let outbox: Outbox
    private let reactor: Reactor
    private let worker: DiskWorker
    private let log: Logger
    private var outlet: Outlet?
    private var lock: FileDescriptor?
    private var onOpened: (() -> Void)?
    private var onFinished: (() -> Void)?
    private var said: String?
    private var saidBacklog = false
    private lazy var timer = reactor.makeTimer { [unowned self] in self.pump() }
    private lazy var again = reactor.makeTimer { [unowned self] in self.takeFolder() }
    private lazy var patience = reactor.makeTimer { [unowned self] in self.openingTakesTooLong() }

    init(
        path: String,
        outbox: Outbox,
        pool: SlabPool,
        policy: SpoolPolicy,
        reactor: Reactor,
        children: ChildWatcher,
        log: Logger
    ) {
        self.path = path
        self.outbox = outbox
        self.reactor = reactor
        self.log = log
        spooler = Spooler(outbox: outbox, pool: pool, policy: policy)
        // The next agent's worker must be the only one.
        worker = DiskWorker(
            reactor: reactor,
            children: children,
            log: log,
            idleLimit: Self.workerIdle,
            endsWithUs: true
        )
    }

    /// Why records that cannot be sent are not kept as they should be.
    var problem: String? { spooler.problem.map { "the spool cannot be used: \($0)" } }

    // MARK: Start and end

    /// Finds out what an agent before this one left.
    ///
    /// - Parameters:
    ///   - limit: for that; a disk that takes longer joins in later.
    ///   - completion: is called once, then.
    func start(within limit: TimeSpan, outlet: Outlet, completion: @escaping () -> Void) {
        self.outlet = outlet
        guard spooler.policy.disk > 0 else { return completion() }
        onOpened = completion
        patience.arm(after: limit)
        takeFolder()
    }

    /// Until the folder is ours nothing in it is touched.
    private func takeFolder() {
        do throws(Errno) {
            try FileDescriptor.makeDirectories(path)
            let file = try FileDescriptor.open("\(path)/\(Self.lockName)", .readWrite)
            if try file.tryLock() {
                lock = consume file
                spooler.folderIsUsable()
                return pump()
            }
            spooler.folderIsUnusable("a repair of \(path) is under way")
        } catch {
            spooler.folderIsUnusable("\(path): \(error)")
        }
        again.arm(after: spooler.policy.retry)
        pump()
        opened()
    }

    private func openingTakesTooLong() {
        log.warning("\(path) takes long to open; records of earlier runs will follow when it is")
        opened()
    }

    private func opened() {
        patience.cancel()
        guard let onOpened else { return }
        self.onOpened = nil
        onOpened()
    }

    /// Writes what is still in memory; then, or when that is not possible, `completion` is called.
    func finish(_ completion: @escaping () -> Void) {
        spooler.finish()
        onFinished = completion
        pump()
    }

    /// Puts a file in place, in the same worker: a process of its own would be started for it each time.
    func writeFile(_ path: String, _ bytes: [UInt8], _ completion: @escaping (Result<Void, DiskError>) -> Void) {
        worker.writeFile(path, bytes, mode: 0o600, completion)
    }

    // MARK: What happens

    func connected() {
        spooler.connected()
        pump()
    }

    func disconnected() {
        guard spooler.isConnected else { return }
        spooler.disconnected()
        outlet?.memoryFreed()
        pump()
    }

    /// Batches were queued, or confirmed. While records flow this does nothing: the timer will look at them.
    func noticed() {
        if timer.isArmed && spooler.isConnected && !saidBacklog { return }
        pump()
    }

    /// Does what is due.
    func pump() {
        let now = MonotonicTime.now()
        if let request = spooler.next(at: now) { ask(request) }
        if outlet?.isShortOfMemory() == true, spooler.relieveMemory(at: now) { outlet?.memoryFreed() }
        if let due = spooler.due(at: now) { timer.arm(at: due) } else { timer.cancel() }
        sayProblem()
        sayBacklog()
        if spooler.isFinished, let onFinished {
            self.onFinished = nil
            timer.cancel()
            again.cancel()
            worker.close()
            onFinished()
        }
    }

    private func ask(_ request: SpoolRequest) {
        let question = SpoolService.question(request, path: path, segmentSize: spooler.policy.segmentSize)
        worker.call(SpoolService.name, question) { [weak self] result in
            let answer: SpoolAnswer =
                switch result {
                case .success(let bytes): SpoolAnswer(bytes) ?? .failed("the worker's answer makes no sense")
                case .failure(let error): .failed("\(error)")
                }
            self?.answered(answer)
        }
    }

    private func answered(_ answer: SpoolAnswer) {
        spooler.completed(answer, at: MonotonicTime.now())
        switch answer {
        case .opened(let contents, _, let notes):
            for note in notes { log.warning("\(path): \(note)") }
            let records = contents.reduce(0) { $0 + $1.records }
            if records > 0 {
                log.info("\(records) records of earlier runs are in the spool", metadata: ["path": "\(path)"])
            }
            outlet?.opened(records)
        case .piece, .dropped: outlet?.ready()
        case .appended: outlet?.memoryFreed()
        case .synced: outlet?.synced()
        case .advanced, .failed: break
        }
        // A spool that cannot be opened must not keep the agent from running.
        if onOpened != nil { opened() }
        pump()
    }

    // MARK: Saying so

    private func sayProblem() {
        switch (said, problem) {
        case (nil, let now?):
            log.error("\(now); until it can, records are kept in memory, and given up when that is full")
            said = now
        case (_?, nil):
            log.info("the spool can be used again")
            said = nil
        default: break
        }
    }

    private func sayBacklog() {
        let has = spooler.hasBacklog
        guard has != saidBacklog else { return }
        saidBacklog = has
        let ledger = outbox.ledger
        let metadata: Logger.Metadata = ["spooled": "\(ledger.spooled)", "bytes": "\(spooler.bytes)"]
        log.info(has ? "records wait on the disk" : "all records on the disk have been read", metadata: metadata)
    }
}
