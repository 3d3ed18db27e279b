// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// How a server's address was found; the words are those of the heartbeat's field net_mode.
public enum NetworkMode: String, Sendable, CaseIterable {
    case discovery = "sd"
    case privateNetwork = "private"
    case publicNetwork = "public"
}

/// A server to try.
public struct Candidate: Hashable, Sendable {
    public let endpoint: TransferSettings.Endpoint
    public let mode: NetworkMode

    public init(_ endpoint: TransferSettings.Endpoint, _ mode: NetworkMode) {
        self.endpoint = endpoint
        self.mode = mode
    }
}

/// One round of attempts: each server once, those that Service Discovery named first, then the private addresses, then
/// the public ones, as the original agent does.
public struct EndpointPlan: Sendable {
    private var remaining: ArraySlice<Candidate>

    /// - Parameter avoiding: the server just left, which comes last: it sent us away, refused us, or is dead, and where
    ///   it keeps an entry of the old connection, the sooner we are elsewhere the better.
    public init(
        discovered: [TransferSettings.Endpoint],
        region: TransferSettings.Region,
        avoiding: TransferSettings.Endpoint?
    ) {
        let all =
            discovered.map { Candidate($0, .discovery) }
            + region.privateEndpoints.map { Candidate($0, .privateNetwork) }
            + region.publicEndpoints.map { Candidate($0, .publicNetwork) }
        var seen = Set<TransferSettings.Endpoint>()
        let each = all.filter { seen.insert($0.endpoint).inserted }
        remaining = (each.filter { $0.endpoint != avoiding } + each.filter { $0.endpoint == avoiding })[...]
    }

    public mutating func next() -> Candidate? { remaining.popFirst() }
}
