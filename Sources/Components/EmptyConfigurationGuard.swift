// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import ElkeidWire

/// Tells a list without components that is meant from one that is not.
///
/// By the contract a command without a task is the complete list, so an empty one means "none". Managers send such a
/// command also for other purposes, and one whose policies are lost sends it to a whole fleet at once. So the first
/// command of a connection removes nothing when it is empty: servers send it by themselves. A later one does: after the
/// first, a server sends another only because somebody asked for it.
public struct EmptyConfigurationGuard: Sendable {
    private var isFirst = true

    public init() {}

    public enum Verdict: Equatable, Sendable {
        case apply
        /// The first of a connection, and empty.
        case doubtful
        /// Something for the agent itself, of no known meaning.
        case control
    }

    /// A new stream has begun.
    public mutating func connected() { isFirst = true }

    /// - Parameter command: without a task.
    public mutating func judge(_ command: Command) -> Verdict {
        if command.configs.isEmpty && command.agentControl != 0 { return .control }
        defer { isFirst = false }
        return command.configs.isEmpty && isFirst ? .doubtful : .apply
    }
}
