// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import CAllocationCounter
import ElkeidWire
import Foundation
import TestSupport
import Testing

/// Under a sanitizer malloc is the sanitizer's, and cannot be counted.
private let isCounting =
    CAllocationCounter_isActive() != 0 && ProcessInfo.processInfo.environment["ELKEID_TEST_SANITIZER"] == nil

@Suite("Splice: allocations", .enabled(if: isCounting, "a sanitizer allocates by itself"))
struct SpliceAllocationTests {
    /// Frames of `recordSize` bytes with their lengths that fill `size` bytes exactly.
    static func read(_ recordSize: Int, size: Int) throws -> [UInt8] {
        let frame = Frames.frame(try Frames.record(size: recordSize - 4))
        return (0..<(size / recordSize)).flatMap { _ in frame }
    }

    /// What splicing `count` reads of the same bytes costs, after a first one that makes what is kept.
    static func allocations(_ bytes: [UInt8], reads count: Int, cut: Int) throws -> (UInt64, records: UInt64) {
        let pool = SlabPool(slabSize: 256 << 10)
        let arena = Arena(pool: pool)
        var splicer = FrameSplicer(messageSize: 64_000)
        var batches = 0
        func read() throws {
            let slab = try #require(arena.slab(room: bytes.count))
            let segment = bytes.withBytes { slab.append($0) }
            try splicer.splice(segment.slice(0..<cut), arena: arena) { _ in batches += 1 }
            try splicer.splice(segment.slice(cut..<bytes.count), arena: arena) { _ in batches += 1 }
        }
        try read()
        let before = CAllocationCounter_count()
        let accepted = splicer.accepted
        for _ in 0..<count { try read() }
        return (CAllocationCounter_count() - before, splicer.accepted - accepted)
    }

    @Test func counterCounts() {
        let before = CAllocationCounter_count()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 100, alignment: 64)
        let after = CAllocationCounter_count()
        unsafe memory.deallocate()
        #expect(after == before + 1)
    }

    /// The same bytes in the same reads, as 100,000 records and as 200,000: not one allocation more. The cut ends within
    /// a record, so that each read also has one in pieces. Exact in debug and in release.
    @Test(arguments: [0, 256, 100_001])
    func nonePerRecord(cut: Int) throws {
        let size = 256_000
        let large = try Self.allocations(Self.read(256, size: size), reads: 100, cut: cut)
        let small = try Self.allocations(Self.read(128, size: size), reads: 100, cut: cut)
        #expect(large.records == 100_000 && small.records == 200_000)
        #expect(large.0 == small.0, "allocations depend on slabs and batches, not on records")
        // A slab and four batches for each read, each with its storage, and the pieces of the record that is cut.
        #expect(small.0 <= 100 * 12)
    }
}
