// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A value that any thread may use, one at a time, and that a thread can wait for a change of: a mutex with one
/// condition variable.
///
/// Entering it again from within traps: it is a bug in the calling program and would otherwise be a deadlock.
@safe
final class Monitor<Value: ~Copyable>: Sendable {
    private nonisolated(unsafe) var value: Value
    private nonisolated(unsafe) let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private nonisolated(unsafe) let condition: UnsafeMutablePointer<pthread_cond_t>

    init(_ value: consuming sending Value) {
        unsafe self.value = value
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        var mutexAttributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&mutexAttributes)
        unsafe pthread_mutexattr_settype(&mutexAttributes, CInt(PTHREAD_MUTEX_ERRORCHECK))
        unsafe pthread_mutex_init(mutex, &mutexAttributes)
        unsafe pthread_mutexattr_destroy(&mutexAttributes)
        var conditionAttributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&conditionAttributes)
        unsafe pthread_condattr_setclock(&conditionAttributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &conditionAttributes)
        unsafe pthread_condattr_destroy(&conditionAttributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Runs `body` while no other thread uses the value.
    func withLock<Result, Failure: Error>(_ body: (inout Value) throws(Failure) -> Result) throws(Failure) -> Result {
        lock()
        defer { unlock() }
        return unsafe try body(&value)
    }

    /// What a thread in `waitUntilDone` does next.
    enum Step {
        case wait
        case waitUntil(MonotonicTime)
        case done
    }

    /// Runs `step` under the lock, and again whenever `signal` was called, the time it asked for has come, or for no
    /// reason; until it is done. The lock is free while it waits.
    func waitUntilDone(_ step: (inout Value) -> Step) {
        lock()
        defer { unlock() }
        // The access to the value ends with each step, since others change it during the wait.
        while true {
            switch unsafe step(&value) {
            case .done:
                return
            case .wait:
                unsafe pthread_cond_wait(condition, mutex)
            case .waitUntil(let deadline):
                var time = timespec(
                    tv_sec: Int(deadline.nanoseconds / 1_000_000_000),
                    tv_nsec: Int(deadline.nanoseconds % 1_000_000_000)
                )
                unsafe pthread_cond_timedwait(condition, mutex, &time)
            }
        }
    }

    /// Wakes the threads in `waitUntilDone`.
    func signal() {
        unsafe pthread_cond_broadcast(condition)
    }

    private func lock() {
        let status = unsafe pthread_mutex_lock(mutex)
        precondition(status == 0, "the plugin client was called from within its own build closure")
    }

    private func unlock() {
        let status = unsafe pthread_mutex_unlock(mutex)
        precondition(status == 0, "unlocked by a thread that does not hold the lock")
    }
}
