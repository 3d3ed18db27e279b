// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// What a message carries in a simulation: a batch, by its number in its lane. Batches are never split.
struct Cargo: Hashable {
    var lane: Int
    var number: Int
    var records: UInt64

    static let heartbeatLane = -1
    var isHeartbeat: Bool { lane == Self.heartbeatLane }
}

/// A grpc-go server's end of one stream: its window, its handler, and what they say.
///
/// The window's arithmetic is that of grpc-go's inFlow: a message that does not fit is granted when it is begun, and
/// what is read is given back in steps of a quarter of the window.
struct SimulatedStream {
    static let window: UInt64 = 65_535

    struct Message {
        var size: UInt64
        var cargo: Cargo
    }

    /// Messages that have arrived or are arriving, the first one being read.
    var messages: [Message] = []
    /// Bytes that have arrived and are not read.
    private var pendingData: UInt64 = 0
    private var pendingUpdate: UInt64 = 0
    private var delta: UInt64 = 0
    /// Bytes of the first message that are read.
    private var progress: UInt64 = 0
    private var isBegun = false

    /// Announces a message whose bytes will arrive.
    mutating func announce(_ message: Message) { messages.append(message) }
    mutating func arrived(_ bytes: UInt64) { pendingData += bytes }
    var hasUnread: Bool { !messages.isEmpty }

    /// The handler reads up to `budget` bytes.
    ///
    /// - Returns: what it has read completely, and the credit that is given meanwhile.
    mutating func read(_ budget: UInt64) -> (read: [Cargo], credits: [Int]) {
        var budget = budget
        var done: [Cargo] = []
        var credits: [Int] = []
        while let message = messages.first, budget > 0, pendingData > 0 {
            if !isBegun {
                isBegun = true
                let quota = Int64(Self.window) - Int64(pendingData + pendingUpdate)
                if Int64(message.size) - Int64(pendingData) > quota {
                    delta = message.size
                    credits.append(Int(message.size))
                }
            }
            let part = min(budget, pendingData, message.size - progress)
            budget -= part
            pendingData -= part
            progress += part
            let counted = part > delta ? part - delta : 0
            delta -= min(delta, part)
            pendingUpdate += counted
            if pendingUpdate >= Self.window / 4 {
                credits.append(Int(pendingUpdate))
                pendingUpdate = 0
            }
            if progress == message.size {
                done.append(message.cargo)
                messages.removeFirst()
                progress = 0
                isBegun = false
            }
        }
        return (done, credits)
    }
}

/// What all servers together have got, and in which order it came first.
struct ServerBooks {
    private(set) var seen = Set<Cargo>()
    private(set) var records: UInt64 = 0
    private(set) var duplicates: UInt64 = 0
    /// Batches that came first after a later one of their lane had.
    private(set) var reordered = 0
    private var highest: [Int: Int] = [:]

    mutating func handle(_ cargo: Cargo) {
        guard !cargo.isHeartbeat else { return }
        guard seen.insert(cargo).inserted else {
            duplicates += cargo.records
            return
        }
        records += cargo.records
        if let top = highest[cargo.lane], cargo.number < top { reordered += 1 }
        highest[cargo.lane] = max(highest[cargo.lane] ?? 0, cargo.number)
    }
}
