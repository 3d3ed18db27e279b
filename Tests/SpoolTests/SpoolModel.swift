// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import TestSupport

/// A spool, its disk, and an agent that asks it through a disk worker; all of them fail.
final class SpoolModel {
    // What may go wrong in this run.
    let kills: Bool
    let fails: Bool
    let fills: Bool
    let losesPower: Bool

    let memory = MemoryDisk()
    let disk: WatchedDisk
    let segmentSize: Int
    var random: SeededRandom
    var lanes = [
        ModelLane("a", stem: "a", isUrgent: false),
        ModelLane("b c", stem: "b%20c", isUrgent: false),
        ModelLane("urgent", stem: "urgent", isUrgent: true),
    ]
    var store: SpoolStore?
    private var made = 0
    var trace: [String] = []
    /// How often the last request was carried out, or begun.
    var timesAsked = 1
    /// Something was in the way of the last request.
    var isDisturbed = false
    /// The disk has failed once, even to clean up.
    var hasFailed = false
    var hasLostPower = false

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        kills = random.oneIn(2)
        fails = random.oneIn(2)
        fills = random.oneIn(2)
        losesPower = random.oneIn(2)
        let largest = random.oneIn(3) ? 65_536 : 8192
        segmentSize = random.int(4096...largest)
        self.random = random
        disk = WatchedDisk(memory)
    }

    // MARK: Events

    func event() throws {
        try settleDrops()
        switch random.int(0...19) {
        case 0...6: try append()
        case 7, 8: try sync()
        case 9...11: try read()
        case 12, 13: try advance()
        case 14:
            if random.oneIn(2) { try dropOldest() }
        case 15: changeTrouble()
        case 16:
            if kills { try kill(agentToo: random.oneIn(3)) }
        case 17:
            if losesPower && random.oneIn(2) { try losePower() }
        default:
            if memory.failure == nil, let contents = listing() { _ = try compare(contents) }
        }
    }

    /// The disk is well again, and another agent comes.
    func end() throws {
        memory.failure = nil
        memory.capacity = .max
        try settleDrops()
        try kill(agentToo: true)
    }

    private func append() throws {
        let index = random.int(0...(lanes.count - 1))
        let isNew = !lanes[index].hasFiles && !lanes[index].isAhead && lanes[index].batches.isEmpty
        if isNew && random.oneIn(2) { lanes[index].restart() }
        var batches: [SpoolBatch] = []
        for _ in 0..<random.int(1...3) {
            // After a failure often others: what was to be written is confirmed meanwhile.
            if batches.isEmpty || random.oneIn(2) { batches = makeBatches(at: lanes[index].end) }
            for batch in batches { lanes[index].given[batch.position.sequence, default: []].append(batch) }
            let lane = lanes[index]
            switch ask(.append(lane.lane, attempt: lane.attempt, batches), "\(places(batches)).\(lane.attempt)") {
            case .appended(let bytes):
                lanes[index].batches += batches
                lanes[index].end = batches.last?.end ?? lane.end
                lanes[index].hasFiles = true
                lanes[index].isAhead = false
                try checkBytes(bytes, lanes[index])
                let end = listing()?.first { $0.lane == lane.lane }?.end
                try check(end == lanes[index].end, "it ends at \(end.map { "\($0)" } ?? "nothing")")
                return
            case .failed(let reason):
                try check(mayFail(.append), reason)
                lanes[index].attempt += 1
                lanes[index].isAhead = true
            default: throw contradiction("another answer")
            }
        }
    }

    private func makeBatches(at place: SpoolPosition) -> [SpoolBatch] {
        var place = place
        return (0..<random.int(1...20)).map { _ in
            made += 1
            let size =
                switch random.int(0...49) {
                case 0: segmentSize + random.int(0...5000)
                case 1...5: random.int(1000...6000)
                default: random.int(4...600)
                }
            var payload = [UInt8](repeating: 0xaa, count: size)
            for byte in 0..<4 { payload[byte] = UInt8(truncatingIfNeeded: made >> (8 * byte)) }
            let batch = SpoolBatch(position: place, records: UInt32(random.int(1...5)), payload: payload)
            place = batch.end
            return batch
        }
    }

    private func sync() throws {
        switch ask(.sync) {
        case .synced: for index in lanes.indices { lanes[index].synced = lanes[index].end.sequence }
        case .failed(let reason): try check(mayFail(.sync), reason)
        default: throw contradiction("another answer")
        }
    }

    private func read() throws {
        let lane = lanes[random.int(0...(lanes.count - 1))]
        guard lane.uncertainDrops == 0 else { return }
        let possible = lane.batches.flatMap { [$0.position, $0.end] } + [lane.end]
        let place = possible[random.int(0...(possible.count - 1))]
        let maximum = [1, 100, 3000, 1 << 20][random.int(0...3)]
        switch ask(.read(lane.lane, from: place, maximum: maximum), "\(place.sequence) \(maximum)") {
        case .piece(let piece): try checkPiece(piece, of: lane, from: place, maximum: maximum)
        case .failed(let reason): try check(mayFail(.read), reason)
        default: throw contradiction("another answer")
        }
    }

    private func advance() throws {
        let index = random.int(0...(lanes.count - 1))
        guard lanes[index].hasFiles && lanes[index].uncertainDrops == 0 else { return }
        let ends = lanes[index].batches.map(\.end) + [lanes[index].end]
        let place = ends[random.int(0...(ends.count - 1))]
        let isFinal = place == lanes[index].end && random.oneIn(2)
        _ = lanes[index].giveUp(before: place)
        let request = SpoolRequest.advance(lanes[index].lane, to: place, isFinal: isFinal)
        switch ask(request, "\(place.sequence)\(isFinal ? " final" : "")") {
        case .advanced(let bytes):
            lanes[index].told = max(lanes[index].told, place.sequence)
            try hasAnswered(bytes, index)
            guard isFinal else { return }
            try check(bytes == 0, "\(bytes) bytes are left")
            guard !hasFailed else { return }
            let left = try memory.segments(lanes[index].stem)
            try check(left.isEmpty, "\(left) are left")
        case .failed(let reason): try check(mayFail(.advance), reason)
        default: throw contradiction("another answer")
        }
    }

    private func dropOldest() throws {
        let index = random.int(0...(lanes.count - 1))
        guard lanes[index].hasFiles && lanes[index].uncertainDrops == 0 else { return }
        switch ask(.dropOldest(lanes[index].lane)) {
        case .dropped(let first, let bytes):
            let end = lanes[index].end
            lanes[index].told = max(lanes[index].told, min(first, end).sequence)
            try giveUp(index, before: bytes == 0 ? end : min(first, end), segments: timesAsked)
            try hasAnswered(bytes, index)
        case .failed(let reason):
            try check(mayFail(.dropOldest), reason)
            lanes[index].uncertainDrops += timesAsked
            try settleDrops()
        default: throw contradiction("another answer")
        }
    }

    /// A spool that can be asked says what a request that failed has given up.
    func settleDrops() throws {
        for index in lanes.indices where lanes[index].uncertainDrops > 0 {
            guard let contents = listing() else { return }
            let lane = lanes[index]
            let first = contents.first { $0.lane == lane.lane }?.first ?? lane.end
            try giveUp(index, before: min(first, lane.end), segments: lane.uncertainDrops)
            lanes[index].uncertainDrops = 0
        }
    }

    /// A segment is not more than its size, or one batch.
    private func giveUp(_ index: Int, before place: SpoolPosition, segments: Int) throws {
        let sizes = lanes[index].giveUp(before: place).map { $0.payload.count + SpoolBatch.overhead }.sorted()
        let limit = segments * segmentSize
        try check(sizes.dropLast(segments).reduce(0, +) <= limit, "\(sizes.count) batches were given up")
    }

    private func hasAnswered(_ bytes: Int, _ index: Int) throws {
        try checkBytes(bytes, lanes[index])
        lanes[index].hasFiles = bytes > 0
        if bytes == 0 { lanes[index].isAhead = false }
    }
}
