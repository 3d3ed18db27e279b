// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import TestSupport
import Testing

@Suite("Buffer chains")
struct BufferChainTests {
    let pool = SlabPool(slabSize: 8192)

    @Test func adjacentSegmentsOfOneSlabAreJoined() throws {
        let slab = try #require(pool.take())
        let other = try #require(pool.take())
        let (a, b, c) = (slab.append([1, 2]), slab.append([3]), slab.append([4, 5]))
        var chain = BufferChain(a)
        chain.append(b)
        #expect(chain.segmentSizes == [3])
        chain.append(other.append([9]))
        chain.append(c)
        #expect(chain.segmentSizes == [3, 1, 2], "joined only with the last segment")
        #expect(chain.toArray() == [1, 2, 3, 9, 4, 5] && chain.count == 6)

        var gap = BufferChain(a)
        gap.append(c)
        #expect(gap.segmentSizes == [2, 2], "not adjacent")
        var backwards = BufferChain(b)
        backwards.append(a)
        #expect(backwards.segmentSizes == [1, 2] && backwards.toArray() == [3, 1, 2])
        var empty = BufferChain(a.slice(1..<1))
        #expect(empty.isEmpty && empty.segmentCount == 0 && empty.first == nil)
        empty.append(BufferChain())
        #expect(empty.isEmpty)
    }

    @Test func appendingAChainSharesItsBytes() {
        var chain = BufferChain([[1, 2], [3, 4, 5]], pool: pool)
        chain.removeFirst(1)
        var other = BufferChain([[0]], pool: pool)
        other.append(chain)
        #expect(other.toArray() == [0, 2, 3, 4, 5] && chain.toArray() == [2, 3, 4, 5])
        #expect(pool.outstanding == 3)
        chain.overwriteFirst(7, 8)
        #expect(other.toArray() == [0, 7, 8, 4, 5])
    }

    /// Every split of every small arrangement of segments.
    @Test(arguments: [[1], [5], [1, 1], [2, 3], [3, 1, 4], [1, 1, 1, 1, 1], [40, 2, 3]])
    func splitAndRemoveAtEachPosition(_ sizes: [Int]) {
        let bytes = [UInt8].pattern(sizes.reduce(0, +))
        for cut in 0...bytes.count {
            var parts: [[UInt8]] = []
            var at = 0
            for size in sizes {
                parts.append([UInt8](bytes[at..<(at + size)]))
                at += size
            }
            var chain = BufferChain(parts, pool: pool)
            var removed = chain
            let front = chain.split(first: cut)
            #expect(front.toArray() == [UInt8](bytes[..<cut]) && front.count == cut)
            #expect(chain.toArray() == [UInt8](bytes[cut...]) && chain.count == bytes.count - cut)
            #expect(chain.segmentSizes.allSatisfy { $0 > 0 } && front.segmentSizes.allSatisfy { $0 > 0 })
            removed.removeFirst(cut)
            #expect(removed.toArray() == chain.toArray() && removed.segmentSizes == chain.segmentSizes)
            #expect(removed.isEmpty == (cut == bytes.count))
            var joined = front
            joined.append(chain)
            #expect(joined.toArray() == bytes)
            #expect(joined.segmentSizes == sizes, "cut at \(cut): the halves of a segment join again")
        }
    }

    @Test(arguments: [[4], [1, 3], [1, 1, 1, 1], [3, 2], [2, 1, 5], [4, 4]])
    func overwriteAcrossSegments(_ sizes: [Int]) {
        let chain = BufferChain(sizes.map { [UInt8](repeating: 1, count: $0) }, pool: pool)
        chain.overwriteFirst(9, 8, 7, 6)
        #expect(chain.toArray() == [9, 8, 7, 6] + [UInt8](repeating: 1, count: chain.count - 4))
        #expect(chain.segmentSizes == sizes)
        chain.overwriteFirst()
        #expect(chain.first(4) == [9, 8, 7, 6])
    }

    @Test func copyAppendsToTheOutput() {
        let chain = BufferChain([[1, 2], [3], [4, 5]], pool: pool)
        let scratch = ScratchBuffer(capacity: 8)
        scratch.fill { output in
            output.append(UInt8(0))
            chain.copyFirst(4, into: &output)
            chain.copyFirst(0, into: &output)
        }
        #expect(scratch.withBytes { [UInt8](copying: $0) } == [0, 1, 2, 3, 4])
        #expect(chain.count == 5, "copying consumes nothing")
    }

    /// A frame lent in place and a frame gathered are the same bytes, and what lies around them is untouched.
    @Test(arguments: [0, 1, 8, 9, 15, 16], [1, 5, 100])
    func frameInPlaceAndGathered(_ headerSize: Int, _ length: Int) throws {
        let header = [UInt8](repeating: 0xee, count: headerSize)
        let bytes = [UInt8].pattern(200)
        let scratch = ScratchBuffer(capacity: 200)

        let slab = try #require(pool.take())
        let whole = slab.append(bytes)
        for offset in [0, 1, 7, 50] {
            var inPlace = BufferChain(whole.slice(offset..<200))
            let expected = header + bytes[offset..<(offset + length)]
            #expect(inPlace.frame(header, length, scratch: scratch) == expected)
            #expect(scratch.count == 0, "nothing was copied")
            #expect(inPlace.toArray() == [UInt8](bytes[(offset + length)...]))
            #expect(whole.array == bytes, "the neighbouring bytes are restored")

            var gathered = BufferChain(
                [[UInt8](bytes[offset..<(offset + 1)]), [UInt8](bytes[(offset + 1)...])],
                pool: pool
            )
            #expect(gathered.frame(header, length, scratch: scratch) == expected)
            #expect(gathered.toArray() == [UInt8](bytes[(offset + length)...]))
        }
    }

    @Test func frameWithoutPayload() {
        var chain = BufferChain([[1, 2]], pool: pool)
        #expect(chain.frame([7, 8, 9], 0, scratch: ScratchBuffer(capacity: 16)) == [7, 8, 9])
        #expect(chain.toArray() == [1, 2])
        var empty = BufferChain()
        #expect(empty.frame([7], 0, scratch: ScratchBuffer(capacity: 16)) == [7])
    }

    struct Refusal: Error, Equatable {}

    @Test(arguments: [[10], [4, 6]])
    func refusedFrameIsNotConsumed(_ sizes: [Int]) throws {
        var chain = BufferChain(sizes.map { [UInt8](repeating: 3, count: $0) }, pool: pool)
        let scratch = ScratchBuffer(capacity: 32)
        #expect(throws: Refusal()) {
            try [UInt8(1), 2].withBytes { header throws(Refusal) in
                try scratch.fill { output throws(Refusal) in
                    try chain.takeFrame(header: header, length: 8, scratch: &output) { _ throws(Refusal) in
                        throw Refusal()
                    }
                }
            }
        }
        #expect(chain.toArray() == [UInt8](repeating: 3, count: 10))
    }

    @Test func retainedCapacityCountsASlabOnce() throws {
        let slab = try #require(pool.take())
        let (a, _, c) = (slab.append([1]), slab.append([2]), slab.append([3]))
        var chain = BufferChain(a)
        chain.append(c)
        #expect(chain.segmentCount == 2 && chain.retainedCapacity == 8192)
        chain.append(try #require(pool.take()).append([4]))
        #expect(chain.retainedCapacity == 2 * 8192)
        #expect(BufferChain().retainedCapacity == 0)
    }

    /// What has been consumed holds no memory, wherever the consumption stopped: the pool's limit counts whole slabs.
    @Test(arguments: [1, 3, 31, 32, 33, 100, 200])
    func consumedSegmentsReleaseTheirSlabs(_ count: Int) {
        let pool = SlabPool(slabSize: 8192)
        var chain = BufferChain((0..<count).map { _ in [UInt8](repeating: 1, count: 10) }, pool: pool)
        #expect(pool.outstanding == count)
        // Pieces that end within segments, as DATA frames do, and now and then at the end of one.
        while chain.count > 0 {
            chain.removeFirst(min(7, chain.count))
            let held = (chain.count + 9) / 10
            #expect(pool.outstanding == held, "\(chain.count) bytes are left")
            #expect(chain.segmentCount == held)
        }
    }

    /// The queue of a stream that never runs dry: memory stays with what is in it.
    @Test func queueThatNeverRunsDry() {
        let pool = SlabPool(slabSize: 8192)
        let arena = Arena(pool: pool)
        var chain = BufferChain()
        let bytes = [UInt8].pattern(1000)
        var most = 0
        for round in 0..<1000 {
            bytes.withBytes { arena.append($0, to: &chain) }
            if round >= 20 { chain.removeFirst(1000) }
            most = max(most, pool.outstanding)
        }
        #expect(chain.count == 20_000)
        // 20,000 bytes touch four slabs at most, and the arena may have one more.
        #expect(most <= 5)
    }

    /// Random operations on a chain and on an array come to the same.
    @Test(arguments: 0..<60 as Range<UInt64>)
    func model(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let pool = SlabPool(slabSize: 4160)
        let arena = Arena(pool: pool)
        let scratch = ScratchBuffer(capacity: 20_000)
        var chains: [BufferChain] = [BufferChain(), BufferChain(), BufferChain()]
        var models: [[UInt8]] = [[], [], []]
        for step in 0..<300 {
            let at = random.int(0...2)
            let length = models[at].isEmpty ? 0 : random.int(0...models[at].count)
            switch random.int(0...7) {
            case 0, 1:
                let bytes = random.bytes(random.oneIn(5) ? random.int(0...3000) : random.int(0...40))
                bytes.withBytes { arena.append($0, to: &chains[at]) }
                models[at] += bytes
            case 2:
                chains[at].removeFirst(length)
                models[at].removeFirst(length)
            case 3:
                let other = (at + 1) % 3
                chains[other] = chains[at].split(first: length)
                models[other] = [UInt8](models[at][..<length])
                models[at].removeFirst(length)
            case 4:
                // Bytes are shared by chains that were appended to one another: move, so that each is in one place.
                let other = (at + 2) % 3
                chains[at].append(chains[other])
                models[at] += models[other]
                chains[other].removeAll()
                models[other] = []
            case 5:
                let bytes = random.bytes(min(length, 10))
                bytes.withBytes { chains[at].overwriteFirst($0) }
                models[at].replaceSubrange(..<bytes.count, with: bytes)
            case 6:
                let header = random.bytes(random.int(0...16))
                let part = min(length, 10_000)
                let frame = chains[at].frame(header, part, scratch: scratch)
                #expect(frame == header + models[at][..<part], "seed \(seed), step \(step)")
                models[at].removeFirst(part)
            default:
                #expect(chains[at].first(min(length, 10_000)) == [UInt8](models[at].prefix(min(length, 10_000))))
            }
            for (chain, model) in zip(chains, models) {
                #expect(chain.toArray() == model, "seed \(seed), step \(step)")
                #expect(chain.count == model.count && chain.isEmpty == model.isEmpty, "seed \(seed), step \(step)")
                #expect(chain.segmentSizes.reduce(0, +) == model.count && !chain.segmentSizes.contains(0))
            }
            // One slab may be the arena's own; every other one holds a byte of some chain.
            let held = chains.reduce(0) { $0 + $1.segmentCount }
            #expect(pool.outstanding <= held + 1, "seed \(seed), step \(step)")
        }
        for index in chains.indices { chains[index].removeAll() }
        arena.releaseIfUnused()
        #expect(pool.outstanding == 0, "seed \(seed)")
    }
}

extension BufferChain {
    fileprivate func overwriteFirst(_ bytes: UInt8...) { bytes.withBytes { overwriteFirst($0) } }
}
