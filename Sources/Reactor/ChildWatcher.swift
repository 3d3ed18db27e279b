// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
public import Syscalls

/// How a child process ended.
public enum ExitStatus: Equatable, Sendable, CustomStringConvertible {
    case exited(code: Int32)
    case signalled(Int32)

    public var description: String {
        switch self {
        case .exited(let code): return "exit code \(code)"
        case .signalled(let signal): return "signal \(signal)"
        }
    }
}

/// Reports the end of child processes, each exactly once, and reaps them.
///
/// A pidfd becomes readable when its process ends (pidfd_open(2), Linux 5.3). Before that kernel SIGCHLD says only
/// that some child ended, and every watched one is asked with waitid(2).
public final class ChildWatcher {
    private let reactor: Reactor
    private var watched: [pid_t: Watch] = [:]
    private var signals: SignalSource?
    private let usePidfd: Bool

    /// `forceSignals` takes the way of older kernels, for tests.
    public init(reactor: Reactor, forceSignals: Bool = false) throws(Errno) {
        self.reactor = reactor
        let probe = CLinux_pidfd_open(getpid())
        if probe >= 0 { _ = FileDescriptor(owning: probe) }
        usePidfd = probe >= 0 && !forceSignals
        if !usePidfd {
            signals = try SignalSource([SIGCHLD], reactor: reactor) { [unowned self] _ in self.reapAll() }
        }
    }

    public func close() {
        signals?.close()
        for watch in watched.values {
            watch.source?.close()
            watch.check?.cancel()
            watch.check = nil
        }
        watched.removeAll()
    }

    /// Calls `onExit` once, in a later turn or in an event of this one, when `pid` (a child) has ended.
    public func watch(_ pid: Int32, onExit: @escaping (ExitStatus) -> Void) throws(Errno) {
        let watch = Watch(pid: pid, owner: self, onExit: onExit)
        watched[pid] = watch
        if usePidfd {
            let descriptor = CLinux_pidfd_open(pid)
            if descriptor < 0 {
                let error = Errno.current
                watched[pid] = nil
                throw error
            }
            watch.source = reactor.watch(FileDescriptor(owning: descriptor), for: .read, handler: watch)
        } else {
            // It may have ended before it was watched, and its SIGCHLD be gone.
            watch.check = reactor.makeDeferred { [unowned self] in self.reap(watch) }
            watch.check?.schedule()
        }
    }

    private func reapAll() {
        for watch in Array(watched.values) { reap(watch) }
    }

    fileprivate func reap(_ watch: Watch) {
        guard watched[watch.pid] === watch else { return }
        var code: CInt = 0
        var bySignal: CInt = 0
        let result = unsafe CLinux_reap(watch.pid, &code, &bySignal)
        if result == 0 { return }
        // -1 is ECHILD: somebody else reaped it, and how it ended is not known.
        let status: ExitStatus =
            result < 0 ? .exited(code: -1) : bySignal != 0 ? .signalled(code) : .exited(code: code)
        watched[watch.pid] = nil
        watch.source?.close()
        watch.check = nil  // whose action holds the watch
        watch.onExit(status)
    }

    fileprivate final class Watch: ReadinessHandler {
        let pid: pid_t
        unowned let owner: ChildWatcher
        let onExit: (ExitStatus) -> Void
        var source: Source?
        var check: Deferred?

        init(pid: pid_t, owner: ChildWatcher, onExit: @escaping (ExitStatus) -> Void) {
            self.pid = pid
            self.owner = owner
            self.onExit = onExit
        }

        func handle(_ readiness: Readiness, of source: Source) { owner.reap(self) }
    }
}
