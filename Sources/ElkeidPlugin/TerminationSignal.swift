// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// The wish of whoever sent SIGTERM that this process ends. A signal belongs to the whole process, and so does this:
/// all clients share what is here, and it stays for the process's life.
enum TerminationSignal {
    private static let latch = Mutex<Latch?>(nil)
    /// The latch's writer for the signal handler, which may not lock; -1 before `install`.
    private static let writer = Atomic<CInt>(-1)
    private static let hasCome = Atomic<Bool>(false)

    /// Whether one of the installed signals has come.
    static var isRequested: Bool { hasCome.load(ordering: .acquiring) }

    /// Installs the handler. The first signal sets the latch and brings the default disposition back, so that a
    /// second one ends the process at once. Does not install again what a signal has taken away.
    /// - Returns: the latch that the signals set.
    static func install(_ signals: [CInt]) throws(PluginError) -> Latch {
        let shared = try latch.withLock { (latch) throws(PluginError) in
            let shared = if let latch { latch } else { try Latch() }
            latch = shared
            return shared
        }
        writer.store(shared.writer, ordering: .releasing)
        guard !isRequested else { return shared }
        for signal in signals { try installHandler(for: signal) }
        return shared
    }

    private static func installHandler(for signal: CInt) throws(PluginError) {
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { (_) in
            let interrupted = errno
            TerminationSignal.hasCome.store(true, ordering: .releasing)
            var byte: UInt8 = 1
            _ = unsafe write(TerminationSignal.writer.load(ordering: .acquiring), &byte, 1)
            errno = interrupted
        }
        action.sa_flags = SA_RESTART | CInt(bitPattern: UInt32(SA_RESETHAND))
        guard unsafe sigaction(signal, &action, nil) == 0 else { throw .system(.sigaction, errno: errno) }
    }
}
