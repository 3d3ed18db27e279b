// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import TLS

/// TLS sessions to go on with, one for each server met lately.
struct ResumptionCache {
    /// More servers than a host meets while a ticket is valid.
    static let capacity = 16
    private var entries: [(endpoint: TransferSettings.Endpoint, resumption: TLSResumption)] = []

    /// What was kept for a server; it is used once.
    mutating func take(_ endpoint: TransferSettings.Endpoint) -> TLSResumption? {
        guard let index = entries.firstIndex(where: { $0.endpoint == endpoint }) else { return nil }
        return entries.remove(at: index).resumption
    }

    mutating func keep(_ resumption: TLSResumption, for endpoint: TransferSettings.Endpoint) {
        _ = take(endpoint)
        if entries.count == Self.capacity { entries.removeFirst() }
        entries.append((endpoint, resumption))
    }

    mutating func removeAll() { entries.removeAll() }
}
