// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Syscalls

/// Waits for the word on whether a child has executed its program.
final class LaunchWatch: ReadinessHandler {
    private var source: Source?
    private let launch: ProcessLaunch
    private var completion: ((LaunchError?) -> Void)?

    /// - Parameter completion: called once, with what has failed, or nil.
    init(
        _ outcome: consuming FileDescriptor,
        launch: ProcessLaunch,
        reactor: Reactor,
        completion: @escaping (LaunchError?) -> Void
    ) {
        self.launch = launch
        self.completion = completion
        source = reactor.watch(outcome, for: .read, handler: self)
    }

    func handle(_ readiness: Readiness, of source: Source) { settle() }

    /// The word is there, or will never be: the child has ended.
    func settle() {
        guard let source else { return }
        var failure: LaunchError?
        do throws(LaunchError) {
            try source.withDescriptor { fd throws(LaunchError) in try launch.check(fd) }
        } catch {
            failure = error
        }
        source.close()
        self.source = nil
        let completion = self.completion
        self.completion = nil
        completion?(failure)
    }
}
