// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Syscalls

/// SIGINT, SIGTERM and SIGHUP, blocked while a plugin runs, so that it never outlives this program.
final class Interruption {
    let descriptor: FileDescriptor

    init() throws(ConformanceError) {
        let raw = unsafe CLinux_signalfd([SIGINT, SIGTERM, SIGHUP], 3)
        guard raw >= 0 else { throw .system("signals cannot be waited for: \(Errno.current)") }
        descriptor = FileDescriptor(owning: raw)
    }

    /// The signal that has come, if one has.
    func take() -> CInt? {
        let size = Int(CLinux_signalfd_size())
        return unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { buffer -> CInt? in
            var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
            guard case .bytes(size) = descriptor.read(into: &output) else { return nil }
            return unsafe CLinux_signalfd_signal(buffer.baseAddress)
        }
    }
}
