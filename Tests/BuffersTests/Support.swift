// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import TestSupport

extension Slab {
    /// Appends `bytes`, which must fit.
    func append(_ bytes: [UInt8]) -> Segment { bytes.withBytes { append($0) } }
}

extension Segment {
    var array: [UInt8] { withBytes { [UInt8](copying: $0) } }
}

extension BufferChain {
    /// A chain of segments in slabs of their own.
    init(_ parts: [[UInt8]], pool: SlabPool) {
        self.init()
        for part in parts {
            if let slab = pool.take(beyondLimit: true) { append(slab.append(part)) }
        }
    }

    var segmentSizes: [Int] {
        var sizes: [Int] = []
        forEachSegment { sizes.append($0.count) }
        return sizes
    }

    func first(_ length: Int) -> [UInt8] {
        let scratch = ScratchBuffer(capacity: max(1, length))
        scratch.fill { copyFirst(length, into: &$0) }
        return scratch.withBytes { [UInt8](copying: $0) }
    }

    /// What `takeFrame` lends.
    mutating func frame(_ header: [UInt8], _ length: Int, scratch: ScratchBuffer) -> [UInt8] {
        header.withBytes { header in
            scratch.fill { output in
                takeFrame(header: header, length: length, scratch: &output) { [UInt8](copying: $0) }
            }
        }
    }
}
