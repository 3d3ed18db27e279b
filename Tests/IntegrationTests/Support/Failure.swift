// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Why a test cannot go on.
struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Asks every few milliseconds until there is an answer; throws after `seconds`.
///
/// - Parameters:
///   - what: what is waited for, for the message.
///   - state: what to say about the state of things when it did not come.
func eventually<T>(
    _ what: String,
    seconds: Double = 20,
    state: @autoclosure () -> String = "",
    until answer: () throws -> T?
) throws -> T {
    let limit = seconds * (TestEnvironment.isSanitized ? 4 : 1)
    let start = ContinuousClock.now
    while true {
        if let result = try answer() { return result }
        if ContinuousClock.now - start > .seconds(limit) {
            throw Failure("waited \(limit) s for \(what)\n\(state())")
        }
        usleep(3000)
    }
}

extension Bool {
    /// For `eventually`: true is an answer, false is none.
    var asAnswer: Void? { self ? () : nil }
}
