// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A running interop-faults: the network between agents and a server. What the commands do holds when they return.
final class FaultProxy: InteropProgram {
    /// What it has counted. Up is towards the server.
    struct Stats: Decodable {
        /// Those that are open.
        var connections: Int
        /// The open ones that `swallow` or `halfOpen` has made so.
        var silent: Int
        /// Since its start.
        var total: Int
        /// Bytes that were passed on, since its start.
        var up: Int
        var down: Int
        /// Bytes that were read and not passed on yet.
        var keptUp: Int
        var keptDown: Int
        var discardedUp: Int
        var discardedDown: Int

        enum CodingKeys: String, CodingKey {
            case connections, silent, total, up, down
            case keptUp = "kept_up"
            case keptDown = "kept_down"
            case discardedUp = "discarded_up"
            case discardedDown = "discarded_down"
        }
    }

    /// - Parameter target: host:port of the server.
    init(in folder: String, target: String) throws {
        let program = [try TestEnvironment.faults(), "-listen", "127.0.0.1:\(try unusedPort())"]
        try super.init(program + ["-target", target], name: "faults", in: folder)
    }

    func stats() throws -> Stats {
        try JSONDecoder().decode(Stats.self, from: Data(try JSON.line(command("stats").object).utf8))
    }

    // MARK: To all connections there are

    /// Resets them on both sides.
    ///
    /// - Returns: How many there were, as the next two do.
    @discardableResult
    func reset() throws -> Int { try command("reset")["connections"].int ?? 0 }

    /// For ever, what comes from either side is thrown away, and neither hears anything any more.
    @discardableResult
    func swallow() throws -> Int { try command("swallow")["connections"].int ?? 0 }

    /// The server's side is reset; the agent hears nothing any more, and what it sends is thrown away.
    @discardableResult
    func halfOpen() throws -> Int { try command("halfopen")["connections"].int ?? 0 }

    // MARK: To these and new ones, until it is changed again

    /// Plain forwarding, also for what was held up. Connections that are silent for ever stay so.
    func clear() throws { try command("clear") }

    /// Nobody listens any more; the connections go on.
    func refuse(_ on: Bool) throws { try command("refuse", ["on": on]) }

    /// Nothing passes and nothing ends; what comes is kept for later.
    func blackhole(_ on: Bool) throws { try command("blackhole", ["on": on]) }

    /// Towards the server, for each connection; 0 is no limit.
    func rate(_ bytesPerSecond: Int) throws { try command("rate", ["bytes_per_second": bytesPerSecond]) }

    /// In each direction.
    func latency(milliseconds: Int) throws { try command("latency", ["ms": milliseconds]) }

    /// What agents send stays in the kernels' buffers.
    func stopReading(_ on: Bool) throws { try command("stop_reading", ["on": on]) }

    /// Where new connections go: host:port.
    func target(_ address: String) throws { try command("target", ["address": address]) }
}
