// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Syscalls
import TestSupport
import Testing

/// Puts the thread's signal mask back, which SignalSource changes.
private func keepingMask<R>(_ body: () throws -> R) rethrows -> R {
    var before = sigset_t()
    unsafe pthread_sigmask(SIG_BLOCK, nil, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    return try body()
}

@Suite("Reactor: signals and children")
struct ProcessTests {
    let reactor: Reactor

    init() throws {
        reactor = try Reactor()
    }

    /// Signals are sent to this thread: the others of the test program are nobody's daemon.
    @Test func signalsAreEvents() throws {
        try keepingMask {
            var seen: [CInt] = []
            let signals = try SignalSource([SIGUSR1, SIGTERM, SIGHUP], reactor: reactor) { seen.append($0) }
            try reactor.turn(wait: false)
            #expect(seen == [])
            raise(SIGTERM)
            raise(SIGHUP)
            try reactor.turn(wait: true)
            #expect(Set(seen) == [SIGTERM, SIGHUP] && seen.count == 2)
            raise(SIGUSR1)
            raise(SIGUSR1)
            try reactor.turn(wait: true)
            #expect(seen.last == SIGUSR1 && seen.count == 3, "standard signals do not queue")
            try reactor.turn(wait: false)
            #expect(seen.count == 3 && reactor.statistics.events == 2)
            signals.close()
            #expect(reactor.sourceCount == 0)
        }
    }

    @Test func closedByItsOwnSignal() throws {
        try keepingMask {
            var seen = 0
            var signals: SignalSource?
            signals = try SignalSource([SIGUSR1, SIGUSR2], reactor: reactor) { _ in
                seen += 1
                signals?.close()
            }
            raise(SIGUSR1)
            raise(SIGUSR2)
            try reactor.turn(wait: true)
            #expect(seen == 1 && reactor.sourceCount == 0)
            // The other one is still pending; a new source takes it, so that it does not reach anybody else.
            let rest = try SignalSource([SIGUSR1, SIGUSR2], reactor: reactor) { _ in seen += 1 }
            try reactor.turn(wait: true)
            #expect(seen == 2)
            rest.close()
            signals = nil
        }
    }

    /// With a pidfd, and with SIGCHLD as before Linux 5.3. In the test program any thread may take the SIGCHLD of the
    /// kernel, so this thread sends itself one when the child has ended.
    func awaitExits(_ pids: [CInt], forceSignals: Bool, _ done: () -> Bool) throws {
        if forceSignals {
            for pid in pids { Child.awaitEnd(of: pid) }
            raise(SIGCHLD)
        }
        try reactor.run(until: done)
    }

    @Test(arguments: [false, true])
    func endsAreReportedOnce(forceSignals: Bool) throws {
        try keepingMask {
            let watcher = try ChildWatcher(reactor: reactor, forceSignals: forceSignals)
            let scripts = ["exit 0", "exit 7", "exit 255", "kill -TERM $$", "kill -KILL $$"]
            let expected: [ChildEnd] = [
                .exited(code: 0), .exited(code: 7), .exited(code: 255), .signalled(SIGTERM), .signalled(SIGKILL),
            ]
            var ends: [CInt: [ChildEnd]] = [:]
            var pids: [CInt] = []
            for script in scripts {
                let pid = try Child.shell(script).start()
                pids.append(pid)
                try watcher.watch(pid) { ends[pid, default: []].append($0) }
            }
            try awaitExits(pids, forceSignals: forceSignals) { ends.count == scripts.count }
            try reactor.turn(wait: false)
            #expect(pids.map { ends[$0] ?? [] } == expected.map { [$0] })
            for pid in pids { #expect(kill(pid, 0) == -1 && errno == ESRCH, "reaped") }
            watcher.close()
            #expect(reactor.sourceCount == 0)
        }
    }

    /// Its end, and with it its SIGCHLD, came before anybody watched.
    @Test(arguments: [false, true])
    func endedBeforeItWasWatched(forceSignals: Bool) throws {
        try keepingMask {
            let watcher = try ChildWatcher(reactor: reactor, forceSignals: forceSignals)
            let pid = try Child.shell("exit 3").start()
            Child.awaitEnd(of: pid)
            var ends: [ChildEnd] = []
            try watcher.watch(pid) { ends.append($0) }
            #expect(ends == [], "not within the call")
            try reactor.turn(wait: true)
            #expect(ends == [.exited(code: 3)])
            watcher.close()
        }
    }

    /// A child that still runs is not reported, whatever signal comes.
    @Test(arguments: [false, true])
    func runningChildIsNotReported(forceSignals: Bool) throws {
        try keepingMask {
            let watcher = try ChildWatcher(reactor: reactor, forceSignals: forceSignals)
            let pid = try Child("/bin/sleep", ["1000"]).start()
            var ends: [ChildEnd] = []
            try watcher.watch(pid) { ends.append($0) }
            if forceSignals { raise(SIGCHLD) }
            for _ in 0..<3 { try reactor.turn(wait: false) }
            #expect(ends == [])
            kill(pid, SIGKILL)
            try awaitExits([pid], forceSignals: forceSignals) { !ends.isEmpty }
            #expect(ends == [.signalled(SIGKILL)])
            watcher.close()
        }
    }

    /// An exit handler may watch the successor, as a supervisor does.
    @Test(arguments: [false, true])
    func successorIsWatchedFromTheHandler(forceSignals: Bool) throws {
        try keepingMask {
            let watcher = try ChildWatcher(reactor: reactor, forceSignals: forceSignals)
            var ends: [ChildEnd] = []
            var failure: (any Error)?
            func start(_ code: Int) throws {
                let pid = try Child.shell("exit \(code)").start()
                if forceSignals { Child.awaitEnd(of: pid) }
                try watcher.watch(pid) { status in
                    ends.append(status)
                    do {
                        if code < 3 { try start(code + 1) }
                    } catch {
                        failure = error
                    }
                }
            }
            try start(1)
            try reactor.run { ends.count == 3 || failure != nil }
            #expect(failure == nil && ends == [.exited(code: 1), .exited(code: 2), .exited(code: 3)])
            watcher.close()
        }
    }

    @Test(arguments: [false, true])
    func reapedByAnother(forceSignals: Bool) throws {
        try keepingMask {
            let watcher = try ChildWatcher(reactor: reactor, forceSignals: forceSignals)
            let pid = try Child.shell("exit 5").start()
            var ends: [ChildEnd] = []
            try watcher.watch(pid) { ends.append($0) }
            #expect(Child.reap(pid) == 5)
            try awaitExits([], forceSignals: forceSignals) { !ends.isEmpty }
            #expect(ends == [.exited(code: -1)], "how it ended is not known")
            watcher.close()
        }
    }

    /// Work that was asked for does not outlive the watcher.
    @Test(arguments: [false, true])
    func closedWatcherReportsNothing(forceSignals: Bool) throws {
        try keepingMask {
            var ends = 0
            let pid = try Child.shell("exit 5").start()
            do {
                let watcher = try ChildWatcher(reactor: reactor, forceSignals: forceSignals)
                try watcher.watch(pid) { _ in ends += 1 }
                watcher.close()
            }
            try reactor.turn(wait: false)
            #expect(ends == 0 && reactor.sourceCount == 0)
            #expect(Child.reap(pid) == 5)
        }
    }

    @Test func exitStatusText() {
        #expect(ChildEnd.exited(code: 7).description == "exit code 7")
        #expect(ChildEnd.signalled(SIGKILL).description == "signal 9")
    }
}
