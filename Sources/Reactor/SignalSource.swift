// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
public import Syscalls

/// Signals as events of the loop (signalfd(2)). They are blocked from here on, also when this object is closed;
/// children start with an empty mask all the same (CLinux_spawn_process).
public final class SignalSource: ReadinessHandler {
    private var source: Source?
    private let onSignal: (CInt) -> Void

    public init(_ signals: [CInt], reactor: Reactor, onSignal: @escaping (CInt) -> Void) throws(Errno) {
        self.onSignal = onSignal
        let descriptor = unsafe CLinux_signalfd(signals, CInt(signals.count))
        if descriptor < 0 { throw Errno.current }
        source = reactor.watch(FileDescriptor(owning: descriptor), for: .read, handler: self)
    }

    public func close() {
        source?.close()
        source = nil
    }

    public func handle(_ readiness: Readiness, of source: Source) {
        let size = Int(CLinux_signalfd_size())
        while source.isOpen {
            let signal = unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { buffer -> CInt? in
                var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
                guard case .bytes(size) = source.withDescriptor({ $0.read(into: &output) }) else { return nil }
                return unsafe CLinux_signalfd_signal(buffer.baseAddress)
            }
            guard let signal else { return }
            onSignal(signal)
        }
    }
}
