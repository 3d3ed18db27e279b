// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// What the collector can be told by the environment variable `DETAIL`, which a plugin's configuration sets.
public struct CollectorOptions: Sendable, Equatable {
    /// Seconds from the start of one sweep to the start of the next.
    public var intervalSeconds = 3600

    /// The longest interval, a year: what is beyond it is taken for a mistake.
    private static let maximumInterval = 366 * 24 * 3600

    public init() {}

    /// Why `DETAIL` was refused.
    public enum DetailError: Error, Equatable, Sendable, CustomStringConvertible {
        case notAnObject
        case badInterval

        public var description: String {
            switch self {
            case .notAnObject:
                "DETAIL is not a JSON object, such as {\"interval_seconds\":3600}"
            case .badInterval:
                "interval_seconds in DETAIL is not a whole number from 1 to \(CollectorOptions.maximumInterval)"
            }
        }
    }

    /// Reads a JSON object (RFC 8259), whose only known member is `interval_seconds`; others are ignored.
    /// Empty text means the defaults.
    public init(detail: String) throws(DetailError) {
        var scanner = JSONScanner(detail)
        if scanner.isAtEnd { return }
        guard let members = scanner.object(), scanner.isAtEnd else { throw .notAnObject }
        for (name, value) in members where name == "interval_seconds" {
            guard let interval = Int(value), (1...Self.maximumInterval).contains(interval) else { throw .badInterval }
            intervalSeconds = interval
        }
    }
}
