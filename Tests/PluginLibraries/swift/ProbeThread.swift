// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidPlugin
import Glibc
import Synchronization

/// A thread that returns what a body does.
final class ProbeThread: Sendable {
    typealias Outcome = Result<SendCounts, PluginError>

    private let body: @Sendable () throws(PluginError) -> SendCounts
    private let outcome = Mutex<Outcome?>(nil)
    private let thread = Mutex<pthread_t?>(nil)

    init(_ body: @escaping @Sendable () throws(PluginError) -> SendCounts) {
        self.body = body
        var identifier = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        let status = unsafe pthread_create(
            &identifier,
            nil,
            { (context) in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<ProbeThread>.fromOpaque(context).takeRetainedValue().run()
                return nil
            },
            context.toOpaque()
        )
        guard status == 0 else {
            unsafe context.release()
            return
        }
        thread.withLock { $0 = identifier }
    }

    /// Waits for the end; an error when the thread could not be started.
    func join() -> Outcome {
        guard let thread = thread.withLock({ $0 }) else { return .failure(.system(.pthreadCreate, errno: EAGAIN)) }
        pthread_join(thread, nil)
        return outcome.withLock { $0 } ?? .failure(.closed)
    }

    private func run() {
        let result: Outcome
        do throws(PluginError) {
            result = .success(try body())
        } catch {
            result = .failure(error)
        }
        outcome.withLock { $0 = result }
    }
}
