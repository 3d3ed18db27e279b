// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Lends slabs of one size and takes their memory back, up to a limit of outstanding bytes.
///
/// The limit is the agent's memory budget: it counts whole slabs, since that is what a held byte costs. Free memory
/// is kept for reuse, so a steady stream allocates nothing but the slab's own small object; `trim` gives it back.
@safe
public final class SlabPool {
    /// 256 KiB: one read of a busy pipe, one message to the server, and it stays in the second-level cache.
    public static let defaultSlabSize = 256 << 10

    public let slabSize: Int
    /// Outstanding bytes beyond which `take` refuses.
    public var limit: Int
    /// Slabs lent at this moment.
    public private(set) var outstanding = 0
    private var free: [UnsafeMutableRawPointer] = unsafe []

    public init(slabSize: Int = SlabPool.defaultSlabSize, limit: Int = .max) {
        precondition(slabSize > 4096, "a slab must hold more than its margin")
        self.slabSize = slabSize
        self.limit = limit
        unsafe free.reserveCapacity(64)
    }

    deinit { trim() }

    /// Bytes of all slabs that are lent.
    public var outstandingBytes: Int { outstanding * slabSize }
    /// Bytes that may still be lent before the limit.
    public var headroom: Int { max(0, limit - outstandingBytes) }

    /// An empty slab, or nil when the limit is reached. `beyondLimit` is for the one consumer that must go on so
    /// that memory can be released at all.
    public func take(beyondLimit: Bool = false) -> Slab? {
        guard beyondLimit || outstandingBytes + slabSize <= limit else { return nil }
        outstanding += 1
        let memory =
            unsafe free.popLast() ?? UnsafeMutableRawPointer.allocate(byteCount: slabSize, alignment: 64)
        return unsafe Slab(memory: memory, capacity: slabSize, pool: self)
    }

    func recycle(_ memory: UnsafeMutableRawPointer) {
        outstanding -= 1
        unsafe free.append(memory)
    }

    /// Gives all but `keeping` free slabs back to the system.
    public func trim(keeping: Int = 0) {
        while unsafe free.count > keeping, let memory = unsafe free.popLast() { unsafe memory.deallocate() }
    }
}
