// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

public import Reactor

/// What a simulated storm came to.
public struct StormOutcome: Sendable {
    /// The width of a bucket below.
    public static let bucket = TimeSpan.milliseconds(100)

    public let scenario: StormScenario
    /// Agents that lost their connection.
    public internal(set) var agents = 0
    /// Connection attempts that agents began, for each tenth of a second.
    public internal(set) var attempts: [Int] = []
    /// Connections that agents got, for each tenth of a second.
    public internal(set) var connections: [Int] = []
    /// Handshakes that a server finished after the agent had gone.
    public internal(set) var wastedHandshakes = 0
    /// When the last agent had its connection; nil: some have none at the end.
    public internal(set) var complete: TimeSpan?

    init(_ scenario: StormScenario) { self.scenario = scenario }

    public var totalAttempts: Int { attempts.reduce(0, +) }
    public var connected: Int { connections.reduce(0, +) }
    /// The most attempts in any tenth of a second.
    public var peakOfBucket: Int { attempts.max() ?? 0 }
    /// Attempts in each second.
    public var attemptsPerSecond: [Int] { Self.perSecond(attempts) }
    public var connectionsPerSecond: [Int] { Self.perSecond(connections) }

    private static func perSecond(_ buckets: [Int]) -> [Int] {
        stride(from: 0, to: buckets.count, by: 10).map { buckets[$0..<min($0 + 10, buckets.count)].reduce(0, +) }
    }

    mutating func count(_ time: TimeSpan, in buckets: WritableKeyPath<StormOutcome, [Int]>) {
        let index = Int(time.nanoseconds / Self.bucket.nanoseconds)
        while self[keyPath: buckets].count <= index { self[keyPath: buckets].append(0) }
        self[keyPath: buckets][index] += 1
    }
}
