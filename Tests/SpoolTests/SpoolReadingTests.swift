// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import TestSupport
import Testing

/// What is read, in which pieces, and what that costs.
@Suite("Reading a spool")
struct SpoolReadingTests {
    private let lane = SpoolLane(name: "a", isUrgent: false)
    private let other = SpoolLane(name: "b", isUrgent: true)
    private let memory = MemoryDisk()
    private let disk: WatchedDisk

    init() { disk = WatchedDisk(memory) }

    private func open(segmentSize: Int = 4096) throws -> SpoolStore {
        try SpoolStore(disk: disk, segmentSize: segmentSize) { 0 }
    }

    /// Small ones, some that are larger than a segment, and some that are empty.
    private func mixed(_ count: Int, _ line: inout BatchLine) -> [SpoolBatch] {
        var random = SeededRandom(seed: 7)
        return (0..<count).map { index in
            let size = index % 17 == 5 ? 9000 : index % 19 == 3 ? 0 : random.int(1...1500)
            return line.next(size: size, records: UInt32(index % 4))
        }
    }

    // MARK: Pieces

    /// Each piece has as much as fits, and at least one; together they are everything, once and in order.
    @Test(arguments: [1, 100, 1000, 4096, 20_000, .max])
    func piecesGiveEverythingOnce(maximum: Int) throws {
        var line = BatchLine()
        let batches = mixed(120, &line)
        let writer = try open()
        _ = try writer.append(batches, to: lane, attempt: 0)
        #expect(try memory.segments("a").count > 10)
        let reader = try open()
        for store in [writer, reader] {
            var read: [SpoolBatch] = []
            var place = SpoolPosition.zero
            while place < line.end {
                let piece = try store.read(lane, from: place, maximum: maximum)
                let size = piece.batches.reduce(0) { $0 + $1.payload.count }
                let sized = piece.batches.filter { !$0.payload.isEmpty }
                try check(sized.count <= 1 || size <= maximum, "\(size) bytes at \(place.sequence)")
                read += piece.batches
                if read.count < batches.count {
                    let next = batches[read.count].payload.count
                    try check(next == 0 || next > maximum - size, "\(next) bytes more would have been enough")
                }
                try check(piece.next == read.last?.end, "on at \(piece.next)")
                place = piece.next
            }
            #expect(areSame(read, batches))
            let last = try store.read(lane, from: line.end, maximum: maximum)
            #expect(last.batches.isEmpty && last.next == line.end)
        }
    }

    @Test func everyPlaceCanBeReadFrom() throws {
        var line = BatchLine()
        let batches = mixed(60, &line)
        let store = try open()
        _ = try store.append(batches, to: lane, attempt: 0)
        for index in batches.indices.reversed() {
            let place = batches[index].position
            let piece = try store.read(lane, from: place, maximum: 2000)
            let wanted = batches[index...].prefix(max(1, piece.batches.count))
            try check(areSame(piece.batches, wanted), "from \(index) on")
            let all = try store.readAll(lane, from: place, maximum: 3000)
            try check(areSame(all, batches[index...]), "all from \(index) on")
        }
    }

    /// Larger than the maximum, than a segment, and than what is read at a time.
    @Test func largeBatches() throws {
        var line = BatchLine()
        let batches = [10, 300_000, 10, 1 << 20, 262_144 - 40, 262_144, 10].map { line.next(size: $0) }
        for segmentSize in [4096, 1 << 20] {
            let store = try open(segmentSize: segmentSize)
            _ = try store.append(batches, to: lane, attempt: 0)
            for maximum in [1, 1000, 400_000, 4 << 20] {
                let read = try store.readAll(lane, from: .zero, maximum: maximum)
                #expect(areSame(read, batches), "\(maximum) bytes: \(places(read))")
            }
            let next = try open(segmentSize: segmentSize)
            #expect(try areSame(next.readAll(lane, from: .zero, maximum: 1), batches))
            _ = try next.advance(lane, to: line.end, isFinal: true)
        }
    }

    // MARK: While it changes

    /// The reader comes up to the end again and again, which moves on, over segments.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func readingWhileAppending(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var line = BatchLine()
        let store = try open()
        var written: [SpoolBatch] = []
        var read: [SpoolBatch] = []
        var place = SpoolPosition.zero
        for _ in 0..<200 {
            if random.oneIn(2) {
                let batches = line.next(random.int(1...5), size: random.int(1...800))
                _ = try store.append(batches, to: lane, attempt: 0)
                _ = try store.append(batches, to: other, attempt: 0)
                written += batches
            } else {
                let piece = try store.read(lane, from: place, maximum: random.int(1...5000))
                try check(!piece.batches.isEmpty || place == line.end, "seed \(seed): nothing at \(place)")
                read += piece.batches
                place = piece.next
                if random.oneIn(4) { _ = try store.advance(lane, to: place, isFinal: false) }
            }
        }
        read += try store.readAll(lane, from: place)
        #expect(areSame(read, written), "seed \(seed): \(places(read)), not \(places(written))")
        #expect(try areSame(store.readAll(other, from: .zero, maximum: 700), written), "seed \(seed)")
    }

    /// Reading from a place that is not there any more goes on behind what was given up.
    @Test func whatIsGoneIsPassedOver() throws {
        var line = BatchLine()
        let batches = line.next(50, size: 500)
        let store = try open()
        _ = try store.append(batches, to: lane, attempt: 0)
        var first = SpoolPosition.zero
        for _ in 0..<5 {
            let dropped = try store.dropOldest(lane)
            #expect(dropped.first > first)
            first = dropped.first
            let left = batches[Int(first.sequence)...]
            #expect(try areSame(store.readAll(lane, from: .zero, maximum: 2000), left))
            #expect(try areSame(open().readAll(lane, from: first), left))
        }
        while let contents = store.contents(of: lane) {
            #expect(contents.end == line.end)
            first = try store.dropOldest(lane).first
        }
        #expect(first == line.end && memory.bytes == 0)
        #expect(try store.dropOldest(lane).bytes == 0 && store.read(lane, from: first, maximum: 1).next == first)
    }

    // MARK: Cost

    private func batches(_ count: Int, size: Int) -> [SpoolBatch] {
        var place = SpoolPosition.zero
        return (0..<count).map { index in
            let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: size)
            let batch = SpoolBatch(position: place, records: 1, payload: payload)
            place = batch.end
            return batch
        }
    }

    /// Of 64 segments only the last is read; of the others, and of the cursors, a few bytes.
    @Test func openingReadsHeadersAndTheLastSegment() throws {
        let store = try open()
        for lane in [lane, other] { _ = try store.append(batches(128, size: 1500), to: lane, attempt: 0) }
        try store.sync()
        for (lane, stem) in [(lane, "a"), (other, "b")] {
            let segments = try memory.segments(stem)
            #expect(segments.count == 64)
            disk.heal()
            let contents = try #require(open().contents(of: lane))
            #expect(contents.segments == 64 && contents.end.sequence == 128)
            for name in segments.dropLast() {
                let reads = disk.reads.filter { $0.name == name }
                #expect(reads == [.init(name: name, count: Bytes.headerSize)])
            }
            let last = try #require(segments.last)
            let size = disk.reads.reduce(0) { $0 + ($1.name == last ? $1.count : 0) }
            #expect(size <= Bytes.headerSize + memory.contents(of: last).count)
            let cursor = disk.reads.filter { $0.name == "\(stem).cursor" }
            #expect(cursor.count == 1 && cursor.allSatisfy { $0.count <= 576 })
        }
    }

    /// A reader that comes back for the next piece does not begin at the segment's beginning.
    @Test func readingOnBeginsWhereItEnded() throws {
        let all = batches(100, size: 60_000)
        let store = try open(segmentSize: 2 << 20)
        _ = try store.append(all, to: lane, attempt: 0)
        #expect(try memory.segments("a").count == 3)
        var place = SpoolPosition.zero
        var numbers: [UInt64] = []
        while place.sequence < 100 {
            disk.heal()
            let piece = try store.read(lane, from: place, maximum: 60_000)
            numbers += piece.batches.map(\.position.sequence)
            // Two where a segment ends.
            #expect(disk.reads.count <= 2, "\(disk.reads.count) reads at \(place.sequence)")
            #expect(disk.reads.allSatisfy { $0.count <= 256 << 10 })
            place = piece.next
        }
        #expect(numbers == Array(0..<100))
    }

    @Test func aLaneThatIsNotThereHasNothing() throws {
        let store = try open()
        let place = SpoolPosition(sequence: 7, record: 70)
        let piece = try store.read(lane, from: place, maximum: 1000)
        #expect(piece.batches.isEmpty && piece.next == place && store.contents.isEmpty)
        #expect(try store.advance(lane, to: place, isFinal: true) == 0)
        #expect(try store.append([], to: lane, attempt: 0) == 0 && memory.bytes == 0)
    }
}
