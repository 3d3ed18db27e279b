// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import GRPC
public import Reactor
import Syscalls

/// Judges refusals with "agentID conflict": the server believes that this host is connected already.
///
/// After a host or its network died the server keeps the old entry until its own ping fails, about 10 min. So a
/// conflict is no fault as long as it can be that; what lasts longer means that another host has the same id.
public struct ConflictWatch: Sendable {
    /// What the server says; its status is UNKNOWN.
    static let text = "agentID conflict"
    private let limit: TimeSpan
    private var since: MonotonicTime?

    public init(limit: TimeSpan) { self.limit = limit }

    public static func isConflict(_ status: GRPCStatus) -> Bool { status.message.contains(text: text) }

    public mutating func refused(at now: MonotonicTime) { since = since ?? now }
    public mutating func accepted() { since = nil }

    /// Non-nil when it has lasted too long.
    public func problem(at now: MonotonicTime) -> String? {
        guard let since, now - since >= limit else { return nil }
        let minutes = Int((now - since).seconds) / 60
        return
            "servers have refused this host with \"\(Self.text)\" for \(minutes) min: another host may have the same "
            + "agent id; set `id` in section [agent], or remove the cloned machine-id"
    }
}
