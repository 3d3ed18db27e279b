// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool

/// What an agent knows of a lane of its spool.
struct ModelLane {
    let lane: SpoolLane
    /// What its files' names begin with.
    let stem: String
    /// What the disk is known to have, and what is not confirmed or given up: in order, before `end`.
    var batches: [SpoolBatch] = []
    /// Batches before it are confirmed or given up.
    var first = SpoolPosition.zero
    var end = SpoolPosition.zero
    /// Batches before it are on the disk for certain.
    var synced: UInt64 = 0
    /// The spool has said that batches before it are given up.
    var told: UInt64 = 0
    var attempt: UInt32 = 0
    /// The spool has said that there are files.
    var hasFiles = false
    /// An append has failed: some of its batches may be there, behind `end`.
    var isAhead = false
    /// Segments that may have been given up, by requests that failed.
    var uncertainDrops = 0
    /// All that anybody ever asked to write, by place.
    var given: [UInt64: [SpoolBatch]] = [:]

    init(_ name: String, stem: String, isUrgent: Bool) {
        lane = SpoolLane(name: name, isUrgent: isUrgent)
        self.stem = stem
    }

    /// The next agent begins at the beginning.
    mutating func restart() {
        (first, end, batches) = (.zero, .zero, [])
        (synced, told, attempt, uncertainDrops) = (0, 0, 0, 0)
        (hasFiles, isAhead) = (false, false)
    }

    /// Batches before `place` are not needed any more.
    mutating func giveUp(before place: SpoolPosition) -> [SpoolBatch] {
        let gone = Array(batches.prefix { $0.position < place })
        batches.removeFirst(gone.count)
        if first < place { first = place }
        return gone
    }

    func wasGiven(_ batch: SpoolBatch) -> Bool {
        given[batch.position.sequence, default: []].contains { $0.isSame(batch) }
    }

    /// What a spool must have when it is opened again.
    func required(afterPowerLoss: Bool) -> [SpoolBatch] {
        afterPowerLoss ? batches.filter { $0.position.sequence < synced } : batches
    }
}
