// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Synchronization
import Testing

/// Says when a test begins: several run at once, since most of them wait for processes and clocks most of the time.
struct Turns: SuiteTrait, TestTrait, TestScoping {
    /// Together so many keep about half of the processors busy. The long forms, and what AddressSanitizer makes slow, come
    /// one after the other.
    static let width =
        TestEnvironment.isSoak || TestEnvironment.isSanitized
        ? 1 : min(4, 2 * ProcessInfo.processInfo.activeProcessorCount)

    var isRecursive: Bool { true }

    /// For each case of each test.
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @Sendable () async throws -> Void
    ) async throws {
        let isAlone = test.traits.contains { $0 is Alone }
        await Turnstile.shared.enter(alone: isAlone)
        let start = ContinuousClock.now
        defer {
            // What the test's own line says has the time before its turn in it.
            print("\(test.name): \(ContinuousClock.now - start)")
            Turnstile.shared.leave()
        }
        let thread = TestThread()
        try await withTaskExecutorPreference(thread) { try await function() }
    }
}

/// Marks what has the machine for itself: it compares rates and times with limits, or keeps all processors busy, which
/// the limits of others would feel.
struct Alone: SuiteTrait, TestTrait {
    var isRecursive: Bool { true }
}

extension Trait where Self == Turns {
    static var inTurns: Self { Self() }
}

extension Trait where Self == Alone {
    static var alone: Self { Self() }
}

/// A thread for a test that blocks: the threads of Swift's tasks are as few as the processors.
private final class TestThread: TaskExecutor {
    private let queue = DispatchQueue(label: "test")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { [self] in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

/// Lets in `Turns.width` tests, or one that is alone. Those that are alone come first, one after the other, so that the
/// others have to make room for them only once.
private final class Turnstile: Sendable {
    private typealias Waiting = [CheckedContinuation<Void, Never>]

    private struct State {
        var free = Turns.width
        var alone: Waiting = []
        var others: Waiting = []
        /// Of the one that is inside and alone, or of each of the others.
        var share = 1
    }

    static let shared = Turnstile()

    private let state = Mutex(State())

    func enter(alone: Bool) async {
        await withCheckedContinuation { continuation in
            state.withLock {
                if alone { $0.alone.append(continuation) } else { $0.others.append(continuation) }
            }
            admit()
        }
    }

    func leave() {
        state.withLock { $0.free += $0.share }
        admit()
    }

    private func admit() {
        let admitted = state.withLock { state -> Waiting in
            if !state.alone.isEmpty {
                guard state.free == Turns.width else { return [] }
                (state.free, state.share) = (0, Turns.width)
                return [state.alone.removeFirst()]
            }
            let count = min(state.free, state.others.count)
            guard count > 0 else { return [] }
            (state.free, state.share) = (state.free - count, 1)
            defer { state.others.removeFirst(count) }
            return Array(state.others.prefix(count))
        }
        for continuation in admitted { continuation.resume() }
    }
}
