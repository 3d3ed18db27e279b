// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Delivery
import DiskWorker
import Glibc
import Logging
import Plugins
import Reactor
import Spool
import Syscalls
import Transport

// Records that cannot be sent, and the books about all of them.
extension Agent {
    static let spoolFolder = "spool"
    /// Between two notes of the ledger while the spool is written.
    private static let ledgerInterval = TimeSpan.seconds(30)

    private var closedBooksPath: String { "\(configuration.agent.workDirectory)/\(LedgerFile.closed)" }
    private var openBooksPath: String { "\(configuration.agent.workDirectory)/\(LedgerFile.running)" }

    func makeSpool() -> SpoolDriver {
        SpoolDriver(
            path: "\(configuration.agent.workDirectory)/\(Self.spoolFolder)",
            outbox: outbox,
            pool: pool,
            policy: spoolPolicy(),
            reactor: reactor,
            children: children,
            log: log
        )
    }

    func spoolPolicy() -> SpoolPolicy {
        var policy = SpoolPolicy()
        policy.disk = configuration.spool.disk
        policy.dropsOldest = configuration.spool.whenFull == .dropOldest
        policy.replayRate = configuration.spool.replayRate
        policy.age = TimeSpan(configuration.timeouts.spoolAge)
        policy.interval = TimeSpan(configuration.timeouts.spoolSync)
        policy.retry = TimeSpan(configuration.timeouts.spoolRetry)
        policy.patience = TimeSpan(configuration.timeouts.spoolPatience)
        return policy
    }

    /// What is in the spool comes first; then the agent begins.
    func startSpool(_ completion: @escaping () -> Void) {
        if let closed = LedgerFile(path: closedBooksPath) {
            earlierBooks = closed
            endedInOrder = true
        } else {
            earlierBooks = LedgerFile(path: openBooksPath)
        }
        if configuration.spool.disk == 0 { continueBooks(spooled: 0) }
        let outlet = SpoolDriver.Outlet(
            ready: { [unowned self] in self.transfer.flush() },
            memoryFreed: { [unowned self] in self.memoryFreed.schedule() },
            isShortOfMemory: { [unowned self] in self.intake.isShortOfMemory },
            synced: { [unowned self] in self.noteLedger(after: Self.ledgerInterval) },
            opened: { [unowned self] in self.continueBooks(spooled: $0) }
        )
        spool.start(within: TimeSpan(configuration.timeouts.spoolOpen), outlet: outlet, completion: completion)
    }

    /// Takes the last agent's books over, now that it is known what is left of its records.
    private func continueBooks(spooled: UInt64) {
        guard let earlier = earlierBooks else { return noteLedger() }
        earlierBooks = nil
        let books = Ledger.continuing(earlier.ledger, spooled: spooled)
        outbox.continueBooks(books)
        let uncertain = books.dropped[.uncertain, default: 0] - earlier.ledger.dropped[.uncertain, default: 0]
        if !endedInOrder {
            log.warning(
                "the agent did not end in order: \(uncertain) records that it had in memory may be missing or not, and so may what it received after its last note of them; what was unconfirmed for 3 s is in the spool",
                metadata: ["uncertain": "\(uncertain)", "noted": "\(earlier.time)"]
            )
        } else if uncertain > 0 {
            log.warning("\(uncertain) records that were in the spool are not there any more")
        }
        noteLedger()
    }

    /// Batches are waiting.
    func queued() {
        transfer.flush()
        // From within a pipe's reading, whose records are not all counted yet.
        spoolNoticed.schedule()
    }

    // MARK: The ledger

    /// Notes the ledger, if it has changed by more than heartbeats since that was done.
    func noteLedger(after interval: TimeSpan = .zero) {
        guard earlierBooks == nil, !stopRequested else { return }
        let now = MonotonicTime.now()
        guard noted.map({ now - $0.time >= interval }) ?? true else { return }
        let ledger = outbox.ledger
        let others = ledger.received - ownLane.ledger.received
        guard noted?.others != others else { return }
        noted = (now, others)
        let file = LedgerFile(ledger: ledger, time: Int64(time(nil)))
        let closed = closedBooksPath
        spool.writeFile(openBooksPath, file.text) { [unowned self, log] result in
            switch result {
            // From here on the books are open.
            case .success: if !stopRequested { unsafe unlink(closed) }
            case .failure(let error): log.warning("the ledger cannot be noted: \(error)")
            }
        }
        sayDrops(ledger)
    }

    /// Says what was given up since that was last said. Heartbeats of connections that broke are no loss.
    func sayDrops(_ ledger: Ledger) {
        let losses = ledger.dropped.filter { $0.key != .superseded }
        guard losses != saidDrops else { return }
        let new = losses.compactMap { reason, count in
            let before = saidDrops[reason, default: 0]
            return count > before ? "\(count - before) \(reason.rawValue)" : nil
        }
        saidDrops = losses
        guard !new.isEmpty else { return }
        log.warning(
            "records were given up: \(new.sorted().joined(separator: ", "))",
            metadata: ["ledger": "\(ledger.json)"]
        )
    }

    /// Writes the ledger for the next agent.
    func closeBooks() {
        // Those of an agent before this one, whose spool never opened, are not lost.
        if let earlierBooks { outbox.continueBooks(earlierBooks.ledger) }
        earlierBooks = nil
        let file = LedgerFile(ledger: outbox.ledger, time: Int64(time(nil)))
        do throws(Errno) {
            let new = closedBooksPath + ".new"
            let descriptor = try FileDescriptor.open(new, .truncate)
            unsafe try descriptor.writeAll(file.text.span.bytes)
            try descriptor.close()
            try FileDescriptor.rename(new, to: closedBooksPath)
        } catch {
            log.error("the ledger cannot be written: \(error)")
        }
    }
}
