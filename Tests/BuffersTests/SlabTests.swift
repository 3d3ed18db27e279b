// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import TestSupport
import Testing

@Suite("Slabs, pool and arena")
struct SlabTests {
    let slabSize = 8192

    @Test func slabIsFilledFrontToBack() throws {
        let slab = try #require(SlabPool(slabSize: slabSize).take())
        #expect(slab.capacity == slabSize)
        #expect(slab.room == slabSize - Slab.margin)
        let first = slab.append([1, 2, 3])
        let (result, second) = slab.append(limit: 2) { output in
            output.append(UInt8(4))
            output.append(UInt8(5))
            return output.freeCapacity
        }
        #expect(result == 0, "no more than the limit can be written")
        #expect(first.array == [1, 2, 3] && second.array == [4, 5])
        #expect(slab.room == slabSize - Slab.margin - 5)
        let rest = slab.append { output in
            while output.freeCapacity > 0 { output.append(UInt8(7)) }
        }
        #expect(rest.written.count == slabSize - Slab.margin - 5 && slab.room == 0)
        #expect(slab.append { _ in }.written.count == 0)
        #expect(first.array == [1, 2, 3], "earlier segments keep their bytes")
    }

    struct Refusal: Error, Equatable {}

    @Test func failedAppendTakesNoRoom() throws {
        let slab = try #require(SlabPool(slabSize: slabSize).take())
        let room = slab.room
        #expect(throws: Refusal()) {
            _ = try slab.append { (output: inout OutputRawSpan) throws(Refusal) in
                output.append(UInt8(1))
                throw Refusal()
            }
        }
        #expect(slab.room == room)
        #expect(slab.append([9]).array == [9])
    }

    @Test func segmentsAreRewrittenInPlace() throws {
        let slab = try #require(SlabPool(slabSize: slabSize).take())
        let whole = slab.append([1, 2, 3, 4, 5])
        let part = whole.slice(1..<4)
        part.withMutableBytes { $0.storeBytes(of: 9, toByteOffset: 1, as: UInt8.self) }
        #expect(part.array == [2, 9, 4])
        #expect(whole.array == [1, 2, 9, 4, 5])
        #expect(whole.slice(5..<5).count == 0)
    }

    @Test func poolRefusesBeyondItsLimit() throws {
        let pool = SlabPool(slabSize: slabSize, limit: 2 * slabSize + slabSize / 2)
        #expect(pool.headroom == pool.limit)
        var first = pool.take()
        let second = pool.take()
        #expect(first != nil && second != nil)
        #expect(pool.outstanding == 2 && pool.outstandingBytes == 2 * slabSize && pool.headroom == slabSize / 2)
        #expect(pool.take() == nil, "half a slab of headroom is not enough")
        let third = pool.take(beyondLimit: true)
        #expect(third != nil && pool.outstanding == 3 && pool.headroom == 0)
        first = nil
        #expect(pool.outstanding == 2 && pool.take() == nil)
        withExtendedLifetime((second, third)) {}
    }

    @Test func memoryIsUsedAgain() throws {
        let pool = SlabPool(slabSize: slabSize)
        for round in 0..<100 {
            let slab = try #require(pool.take())
            #expect(slab.room == slabSize - Slab.margin, "round \(round): a slab from the pool is empty")
            _ = slab.append([UInt8](repeating: UInt8(round), count: 100))
            #expect(pool.outstanding == 1)
        }
        #expect(pool.outstanding == 0)
        pool.trim()
        #expect(pool.take()?.append([1, 2]).array == [1, 2], "a trimmed pool lends new memory")
    }

    @Test func slabLivesAsLongAsItsLastSegment() throws {
        let pool = SlabPool(slabSize: slabSize)
        var chain = BufferChain()
        var copy = BufferChain()
        do {
            let slab = try #require(pool.take())
            chain.append(slab.append([1, 2, 3, 4]))
            copy = chain.split(first: 2)
        }
        #expect(pool.outstanding == 1)
        chain.removeAll()
        #expect(pool.outstanding == 1 && copy.toArray() == [1, 2])
        copy.removeFirst(2)
        #expect(pool.outstanding == 0)
    }

    @Test func slabOutlivesThePoolsOwner() {
        var chain = BufferChain()
        do {
            let pool = SlabPool(slabSize: slabSize)
            chain = BufferChain([[1, 2, 3]], pool: pool)
        }
        #expect(chain.toArray() == [1, 2, 3])
    }

    @Test func arenaGoesOnInOneSlab() throws {
        let pool = SlabPool(slabSize: slabSize)
        let arena = Arena(pool: pool)
        let first = try #require(arena.slab(room: 100))
        _ = first.append([UInt8](repeating: 1, count: slabSize - Slab.margin - 50))
        #expect(arena.slab(room: 50) === first)
        #expect(arena.slab(room: 51) !== first)
        #expect(pool.outstanding == 2)
    }

    @Test func arenaObeysTheLimitAndRecovers() throws {
        let pool = SlabPool(slabSize: slabSize, limit: slabSize)
        let arena = Arena(pool: pool)
        var held = BufferChain()
        held.append(try #require(arena.slab(room: 1)).append([UInt8](repeating: 1, count: slabSize - Slab.margin)))
        #expect(arena.slab(room: 1) == nil)
        #expect(arena.slab(room: 1, beyondLimit: true) != nil)
        arena.releaseIfUnused()
        #expect(arena.slab(room: 1) == nil)
        held.removeAll()
        #expect(arena.slab(room: 1) != nil)
    }

    /// What the agent itself sends may be larger than a slab, and pass the limit.
    @Test(arguments: [0, 1, 8175, 8176, 8177, 50_000])
    func arenaAppendsAcrossSlabs(_ count: Int) {
        let pool = SlabPool(slabSize: slabSize, limit: slabSize)
        let arena = Arena(pool: pool)
        let bytes = [UInt8].pattern(count)
        var chain = BufferChain()
        bytes.withBytes { arena.append($0, to: &chain) }
        #expect(chain.toArray() == bytes)
        let perSlab = slabSize - Slab.margin
        #expect(chain.segmentCount == (count + perSlab - 1) / perSlab)
    }

    @Test func idleArenaHoldsNothing() throws {
        let pool = SlabPool(slabSize: slabSize)
        let arena = Arena(pool: pool)
        var chain = BufferChain()
        [UInt8(1)].withBytes { arena.append($0, to: &chain) }
        arena.releaseIfUnused()
        #expect(pool.outstanding == 1)
        [UInt8(2)].withBytes { arena.append($0, to: &chain) }
        #expect(chain.segmentCount == 1, "the slab still in use is filled further")
        chain.removeAll()
        arena.releaseIfUnused()
        #expect(pool.outstanding == 0)
    }

    @Test func scratchBufferIsFilledAnew() {
        let scratch = ScratchBuffer(capacity: 4)
        #expect(scratch.count == 0)
        scratch.fill { output in for byte in 1...4 { output.append(UInt8(byte)) } }
        #expect(scratch.count == 4)
        scratch.fill { $0.append(UInt8(9)) }
        var bytes: [UInt8] = [0]
        scratch.append(to: &bytes)
        #expect(bytes == [0, 9])
        #expect(scratch.withBytes { $0.byteCount } == 1)
    }
}
