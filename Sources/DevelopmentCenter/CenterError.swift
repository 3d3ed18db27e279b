// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Why something could not be done, in one line: what, where, and what to do about it.
public struct CenterError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
