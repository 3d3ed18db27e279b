// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import TestSupport

// What the spool does is compared with what the agent knows.
extension SpoolModel {
    /// Of a segment, even when a power cut took a part of it.
    private static let headerSize = 768

    /// A piece has the next batches, as many as fit, and says where to go on.
    func checkPiece(
        _ piece: SpoolStore.Piece,
        of lane: ModelLane,
        from place: SpoolPosition,
        maximum: Int
    ) throws {
        let size = piece.batches.reduce(0) { $0 + $1.payload.count }
        try check(piece.batches.count <= 1 || size <= maximum, "\(size) bytes of \(maximum)")
        let own = piece.batches.filter { $0.position < lane.end }
        let rest = lane.batches.filter { $0.position >= place }
        let difference = "\(places(own)) of \(places(rest))"
        try check(areSame(own, rest.prefix(own.count)) && own.isEmpty == rest.isEmpty, difference)
        // The agent takes no notice of what it was told that the disk has not got.
        let others = piece.batches.dropFirst(own.count)
        try check(others.isEmpty || lane.isAhead && others.allSatisfy(lane.wasGiven), "more: \(places(others))")

        let next = min(piece.next, lane.end)
        let following = rest.dropFirst(own.count).first?.position ?? lane.end
        try check(next >= (own.last?.end ?? place) && next <= following, "on at \(next), not \(following)")
        try check(next.sequence != following.sequence || next == following, "on at \(next), not \(following)")
        try check(next > place || place >= lane.end, "on at \(next), where it began")
    }

    /// Reads everything.
    ///
    /// - Returns: what there is, by the lanes' names.
    func compare(_ contents: [SpoolContents], afterPowerLoss: Bool = false) throws -> [String: [SpoolBatch]] {
        var found: [String: [SpoolBatch]] = [:]
        let known = Set(lanes.map(\.lane))
        try check(contents.allSatisfy { known.contains($0.lane) }, "other lanes: \(contents.map(\.lane.name))")
        for lane in lanes {
            let required = lane.required(afterPowerLoss: afterPowerLoss)
            guard let own = contents.first(where: { $0.lane == lane.lane }) else {
                try check(required.isEmpty, "\(lane.stem): nothing is left of \(places(required))")
                continue
            }
            // An agent takes the difference.
            try check(own.first < own.end && own.first.record <= own.end.record, "\(own)")
            let batches = try readAll(own)
            found[lane.lane.name] = batches
            let isOrdered = zip(batches, batches.dropFirst()).allSatisfy { $0.end <= $1.position }
            try check(isOrdered, "\(lane.stem): the order is \(places(batches))")
            try check(batches.allSatisfy(lane.wasGiven), "\(lane.stem): others are in \(places(batches))")
            let needed = Set(required.map(\.position))
            let there = batches.filter { needed.contains($0.position) }
            try check(areSame(there, required), "\(lane.stem): \(places(required)) is now \(places(batches))")
            if !afterPowerLoss { try compare(own, batches, with: lane) }
        }
        return found
    }

    /// Without a power cut all that was written is there, and nothing else.
    private func compare(_ own: SpoolContents, _ batches: [SpoolBatch], with lane: ModelLane) throws {
        let extent = "\(lane.stem): \(own.first) to \(own.end), not \(lane.first) to \(lane.end)"
        try check(own.first.sequence >= lane.told, "\(extent), and \(lane.told) was told")
        try check(own.end == lane.end || lane.isAhead && own.end > lane.end, extent)
        try check(own.first <= lane.first || lane.isAhead, extent)
        let waiting = batches.filter { $0.position >= lane.first && $0.position < lane.end }
        try check(areSame(waiting, lane.batches), "\(extent): \(places(waiting)), not \(places(lane.batches))")
        guard !hasLostPower else { return }
        var place = own.first
        for batch in batches {
            try check(batch.position == place, "\(lane.stem): \(place) is missing in \(places(batches))")
            place = batch.end
        }
        try check(place == own.end, "\(lane.stem): \(place) is missing behind \(places(batches))")
    }

    private func readAll(_ own: SpoolContents) throws -> [SpoolBatch] {
        var batches: [SpoolBatch] = []
        var place = own.first
        while place < own.end {
            let answer = perform(.read(own.lane, from: place, maximum: random.int(1...20_000)))
            guard case .piece(let piece) = answer else {
                throw contradiction("\(own.lane.name) cannot be read from \(place.sequence) on: \(answer)")
            }
            try check(piece.next > place, "\(own.lane.name): reading does not come on from \(place)")
            batches += piece.batches
            place = piece.next
        }
        try check(place == own.end, "\(own.lane.name) is read to \(place), and its end is \(own.end)")
        return batches
    }

    /// Looking changes nothing, and finds nothing missing that must be there.
    func checkInspection(afterPowerLoss: Bool) throws {
        let before = try memory.snapshot()
        let losses = try SpoolStore.inspecting(memory).verify()
        try check(memory.snapshot() == before, "looking has changed something")
        for loss in losses where !loss.wasConfirmed {
            let range = loss.first.sequence..<max(loss.first.sequence, loss.end.sequence)
            try check(hasLostPower, "\(range) of \(loss.lane) is lost without a reason")
            guard let lane = lanes.first(where: { $0.lane.name == loss.lane }) else {
                throw contradiction("there is no lane \(loss.lane)")
            }
            let required = lane.required(afterPowerLoss: afterPowerLoss)
            let isNeeded = required.contains { range.contains($0.position.sequence) }
            try check(!isNeeded, "\(range) of \(loss.lane) is lost")
        }
    }

    /// What it says of the lane's files.
    func checkBytes(_ bytes: Int, _ lane: ModelLane) throws {
        guard !hasFailed else { return }
        let sizes = try memory.segments(lane.stem).map { max(Self.headerSize, memory.contents(of: $0).count) }
        try check(bytes == sizes.reduce(0, +), "\(lane.stem): \(bytes) bytes, not those of \(sizes)")
    }
}
