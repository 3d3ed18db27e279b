// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// The slab that is being filled, shared by everything that produces bytes.
///
/// All pipes read into one slab, one after the other: memory then grows with the data and not with the number of
/// plugins, and a plugin that trickles does not pin a slab of its own.
public final class Arena {
    public let pool: SlabPool
    private var current: Slab?

    public init(pool: SlabPool) { self.pool = pool }

    /// A slab with at least `room` free bytes, or nil when the pool has reached its limit.
    public func slab(room: Int, beyondLimit: Bool = false) -> Slab? {
        precondition(room <= pool.slabSize - Slab.margin, "more room asked for than a slab has")
        if let current, current.room >= room { return current }
        // The old slab may be the last reference to its memory: let go of it before asking for another.
        current = nil
        current = pool.take(beyondLimit: beyondLimit)
        return current
    }

    /// Appends `bytes` wherever there is room, in as many segments as it takes. Small things that the agent itself
    /// sends may pass the limit: they are what makes memory free again.
    public func append(_ bytes: RawSpan, to chain: inout BufferChain) {
        var offset = 0
        while offset < bytes.byteCount {
            guard let slab = slab(room: 1, beyondLimit: true) else { return }
            let part = min(slab.room, bytes.byteCount - offset)
            chain.append(slab.append(bytes.extracting(offset..<(offset + part))))
            offset += part
        }
    }

    /// Forgets the current slab when nothing else holds it, so that an idle agent holds no slab at all.
    public func releaseIfUnused() {
        if isKnownUniquelyReferenced(&current) { current = nil }
    }
}
