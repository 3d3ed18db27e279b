// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Runs tasks on an event loop, next to its channels: without it each message would wake a thread of Swift
/// concurrency's pool, and then the event loop again.
final class LoopTaskExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
