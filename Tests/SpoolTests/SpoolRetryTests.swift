// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Spool
import SpoolSupport
import TestSupport
import Testing

/// Requests that fail, or whose process dies, at each operation of the disk, and are then asked again.
@Suite("Spool requests that are asked again")
struct SpoolRetryTests {
    private let lane = SpoolLane(name: "a", isUrgent: false)
    private let memory = MemoryDisk()
    private let disk: WatchedDisk

    init() { disk = WatchedDisk(memory) }

    private func open(_ disk: (any SpoolDisk)? = nil) throws -> SpoolStore {
        try SpoolStore(disk: disk ?? self.disk, segmentSize: 2000) { 0 }
    }

    /// Three of these fill a segment.
    private func line(_ count: Int, from place: SpoolPosition = .zero, size: Int = 350) -> [SpoolBatch] {
        var line = BatchLine(from: place)
        return line.next(count, size: size)
    }

    /// Batches with other bytes: what was to have their places is not needed any more.
    private func others(_ count: Int, from place: SpoolPosition) -> [SpoolBatch] {
        var line = BatchLine(from: place)
        return (0..<count).map { line.next(size: 200 + $0, records: 7) }
    }

    private func expect(
        _ batches: [SpoolBatch],
        in store: SpoolStore,
        _ comment: Comment,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let own = try #require(store.contents(of: lane), comment, sourceLocation: sourceLocation)
        let first = try #require(batches.first, comment, sourceLocation: sourceLocation).position
        let found = try store.readAll(lane, from: first)
        let text: Comment = "\(comment): \(places(found)), not \(places(batches))"
        #expect(areSame(found, batches), text, sourceLocation: sourceLocation)
        #expect(own.end == batches.last?.end, text, sourceLocation: sourceLocation)
    }

    // MARK: Appending

    enum Fault: CaseIterable {
        case failed
        case killed
        /// And the next worker could not open the spool: others take the places.
        case killedAndNotAskedAgain
    }

    /// All or nothing, whichever operation fails, over several segments: and other batches take the places.
    @Test(arguments: Fault.allCases)
    func anAppendIsAskedAgain(fault: Fault) throws {
        let before = line(8)
        let end = try #require(before.last).end
        for stop in 0..<12 {
            for count in [1, 3, 9] {
                let comment: Comment = "\(fault) after \(stop) operations, then \(count) batches"
                let memory = MemoryDisk()
                let disk = WatchedDisk(memory)
                var store = try open(disk)
                _ = try store.append(before, to: lane, attempt: 4)
                try store.sync()
                disk.stop(after: stop, writing: fault == .failed ? nil : 500)
                let first = line(9, from: end)
                let answer = store.perform(.append(lane, attempt: 4, first))
                disk.heal()
                var written = before + first
                if fault == .killed {
                    store = try open(disk)
                    _ = try store.append(first, to: lane, attempt: 4)
                } else {
                    if fault == .failed, case .appended = answer { continue }
                    if fault == .failed { #expect(store.contents(of: lane)?.end == end, comment) }
                    if fault != .failed { store = try open(disk) }
                    let second = others(count, from: end)
                    _ = try store.append(second, to: lane, attempt: 5)
                    written = before + second
                }
                try expect(written, in: store, comment)
                let losses = try SpoolStore.inspecting(memory).verify()
                #expect(losses.isEmpty, "\(comment): \(losses)")
                // The next agent finds the same, and goes on.
                store = try open(disk)
                try expect(written, in: store, comment)
                let last = others(2, from: written[written.count - 1].end)
                _ = try store.append(last, to: lane, attempt: 0)
                try store.sync()
                try expect(written + last, in: open(disk), comment)
            }
        }
    }

    /// A disk that fills at any byte.
    @Test func aFullDiskTakesAllOrNothing() throws {
        let before = line(8)
        let end = try #require(before.last).end
        for room in stride(from: 0, through: 6000, by: 97) {
            let memory = MemoryDisk()
            var store = try open(memory)
            _ = try store.append(before, to: lane, attempt: 0)
            memory.capacity = memory.bytes + room
            let answer = store.perform(.append(lane, attempt: 0, line(9, from: end)))
            memory.capacity = .max
            guard case .failed = answer else { continue }
            #expect(store.contents(of: lane)?.end == end, "room for \(room)")
            let second = others(9, from: end)
            _ = try store.append(second, to: lane, attempt: 1)
            try expect(before + second, in: store, "room for \(room)")
            store = try open(memory)
            try expect(before + second, in: store, "room for \(room), opened again")
        }
    }

    /// A full disk is tried again every few seconds: that must not fill it with files.
    @Test func triesLeaveNoFiles() throws {
        let store = try open()
        _ = try store.append(line(3), to: lane, attempt: 0)
        let end = try #require(store.contents(of: lane)).end
        let files = try memory.segments("a").count
        let bytes = memory.bytes
        // Room for the header of a segment, and not for a batch.
        memory.capacity = memory.bytes + 50_000
        for attempt in 0..<100 as Range<UInt32> {
            let answer = store.perform(.append(lane, attempt: attempt, line(1, from: end, size: 60_000)))
            guard case .failed = answer else { throw Contradiction("\(answer)") }
        }
        #expect(try memory.segments("a").count <= files + 1 && memory.bytes <= bytes + 1000)
    }

    /// What was written by an append that failed was synced with the rest, and then its places were given again: they
    /// count as written only as far as they were.
    @Test func syncedPlacesAreTakenBack() throws {
        let before = line(1)
        let end = before[0].end
        var store = try open()
        _ = try store.append(before, to: lane, attempt: 0)
        try store.sync()
        _ = try store.append(line(2, from: end), to: lane, attempt: 0)
        // Its answer was lost, and the next worker could not open the spool.
        store = try open()
        try store.sync()
        let second = others(1, from: end)
        _ = try store.append(second, to: lane, attempt: 1)
        store = try open()
        try expect(before + second, in: store, "opened again")
        let third = others(3, from: second[0].end)
        _ = try store.append(third, to: lane, attempt: 1)
        try store.sync()
        try expect(before + second + third, in: store, "appended")
        try expect(before + second + third, in: open(), "opened once more")
        #expect(try SpoolStore.inspecting(memory).verify().isEmpty)
    }

    // MARK: Syncing

    /// A sync that fails halfway is complete when it is asked again.
    @Test func aSyncIsAskedAgain() throws {
        let other = SpoolLane(name: "b", isUrgent: true)
        let batches = line(9)
        for stop in 0..<10 {
            let memory = MemoryDisk()
            let disk = WatchedDisk(memory)
            let store = try open(disk)
            for lane in [lane, other] { _ = try store.append(batches, to: lane, attempt: 0) }
            disk.stop(after: stop)
            _ = store.perform(.sync)
            disk.heal()
            try store.sync()
            for seed in 0..<10 as Range<UInt64> {
                var random = SeededRandom(seed: seed)
                let copy = memory.copy()
                copy.losePower(&random)
                let next = try open(copy)
                for lane in [lane, other] {
                    let found = try next.readAll(lane, from: .zero)
                    #expect(areSame(found, batches), "seed \(seed), \(stop) operations: \(places(found))")
                }
            }
        }
    }

    // MARK: Giving up

    /// Confirmed is confirmed when the spool has said so, also after it failed at first: within a segment, with two of
    /// them, and with all.
    @Test(arguments: [(1, 4), (7, 2), (11, 0)])
    func anAdvanceIsAskedAgain(confirmed: Int, segments: Int) throws {
        let batches = line(11)
        let place = batches[confirmed - 1].end
        let request = SpoolRequest.advance(lane, to: place, isFinal: segments == 0)
        for isKilled in [false, true] {
            for stop in 0..<20 {
                let comment: Comment = "\(stop) operations, killed: \(isKilled)"
                let memory = MemoryDisk()
                let disk = WatchedDisk(memory)
                var store = try open(disk)
                _ = try store.append(batches, to: lane, attempt: 0)
                try store.sync()
                disk.stop(after: stop, writing: isKilled ? 30 : nil)
                _ = store.perform(request)
                disk.heal()
                if isKilled { store = try open(disk) }
                guard case .advanced(let bytes) = store.perform(request) else {
                    throw Contradiction("\(comment): it fails again")
                }
                #expect(store.perform(request) == .advanced(bytes: bytes), comment)
                store = try open(disk)
                #expect(try memory.segments("a").count == segments, comment)
                if segments == 0 {
                    #expect(bytes == 0 && store.contents.isEmpty && memory.bytes == 0, comment)
                } else {
                    #expect(store.contents(of: lane)?.first == place && bytes > 0, comment)
                    try expect(Array(batches[confirmed...]), in: store, comment)
                }
            }
        }
    }

    /// No more than two segments, of which one was asked for; and what is left can be read.
    @Test(arguments: [false, true])
    func aDropIsAskedAgain(isKilled: Bool) throws {
        let batches = line(11)
        for stop in 0..<20 {
            let comment: Comment = "\(stop) operations, killed: \(isKilled)"
            let memory = MemoryDisk()
            let disk = WatchedDisk(memory)
            var store = try open(disk)
            _ = try store.append(batches, to: lane, attempt: 0)
            try store.sync()
            disk.stop(after: stop, writing: isKilled ? 30 : nil)
            _ = store.perform(.dropOldest(lane))
            disk.heal()
            if isKilled { store = try open(disk) }
            guard case .dropped(let first, _) = store.perform(.dropOldest(lane)) else {
                throw Contradiction("\(comment): it fails again")
            }
            #expect([3, 6].contains(first.sequence), comment)
            let left = Array(batches[Int(first.sequence)...])
            try expect(left, in: store, comment)
            try expect(left, in: open(disk), comment)
            #expect(try open(disk).contents(of: lane)?.first == first, comment)
        }
    }
}
