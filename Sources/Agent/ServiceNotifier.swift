// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Logging
import Reactor
import Syscalls

/// Tells systemd how the service is (sd_notify(3)): READY, STATUS, STOPPING, RELOADING, and the WATCHDOG's pings, which
/// a timer of the loop sends: none comes from a loop that hangs. Without NOTIFY_SOCKET it does nothing.
final class ServiceNotifier {
    /// Of the environment; children must not have them, or they would speak for the agent.
    static let variables = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"]

    private let socket: FileDescriptor?
    private let address: String
    private let watchdogInterval: TimeSpan?
    private let log: Logger
    private let reactor: Reactor
    private var lastStatus = ""
    private var failed = false
    private lazy var watchdog = reactor.makeTimer { [unowned self] in self.pingWatchdog() }

    init(environment: [String: String], reactor: Reactor, log: Logger) {
        self.log = log
        self.reactor = reactor
        address = environment["NOTIFY_SOCKET"] ?? ""
        let raw = address.isEmpty ? -1 : CLinux_datagram_socket()
        socket = raw < 0 ? nil : FileDescriptor(owning: raw)
        watchdogInterval = Self.interval(environment)
    }

    /// Half of what systemd allows, as sd_watchdog_enabled(3) advises; nil when it watches nobody, or another process.
    private static func interval(_ environment: [String: String]) -> TimeSpan? {
        guard let text = environment["WATCHDOG_USEC"], let limit = Int64(text), limit > 0 else { return nil }
        if let pid = environment["WATCHDOG_PID"], pid != "\(getpid())" { return nil }
        return TimeSpan(nanoseconds: max(1, limit / 2) * 1000)
    }

    func ready() {
        send("READY=1")
        if watchdogInterval != nil { pingWatchdog() }
    }

    /// One line for `systemctl status`.
    func status(_ text: String) {
        guard text != lastStatus else { return }
        lastStatus = text
        // A line break would begin another assignment.
        send("STATUS=" + text.prefix { !$0.isNewline })
    }

    /// The time is that of CLOCK_MONOTONIC, as systemd 253 and later want it.
    func reloading() {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        send("RELOADING=1\nMONOTONIC_USEC=\(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)")
    }

    func reloaded() { send("READY=1") }

    func stopping() { send("STOPPING=1\nSTATUS=stopping") }

    private func pingWatchdog() {
        guard let watchdogInterval else { return }
        send("WATCHDOG=1")
        watchdog.arm(after: watchdogInterval)
    }

    private func send(_ text: String) {
        switch socket {
        case .none: return
        case .some(let socket):
            let result = unsafe CLinux_send_datagram(socket.rawValue, address, text, text.utf8.count)
            guard result != 0, !failed else { return }
            // Once is enough: whoever started the agent does not listen.
            failed = true
            log.warning("NOTIFY_SOCKET \(address) cannot be reached: \(Errno.current)")
        }
    }
}
