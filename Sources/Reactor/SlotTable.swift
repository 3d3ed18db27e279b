// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Names one registration for its whole life: the slot may be used again, the pair never is (an ABA guard that fits
/// in epoll's 64 bits of user data).
struct SlotKey: Equatable {
    var index: UInt32
    var generation: UInt32

    init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    init(userData: UInt64) {
        index = UInt32(truncatingIfNeeded: userData)
        generation = UInt32(truncatingIfNeeded: userData >> 32)
    }

    var userData: UInt64 { UInt64(generation) << 32 | UInt64(index) }
}

/// Sources by slot. An event whose generation is not the slot's is of a source that is gone.
struct SlotTable {
    private struct Slot {
        var generation: UInt32 = 0
        var source: Source?
    }
    private var slots: ContiguousArray<Slot> = []
    private var free: [UInt32] = []

    mutating func insert(_ source: Source) -> SlotKey {
        if let index = free.popLast() {
            slots[Int(index)].source = source
            return SlotKey(index: index, generation: slots[Int(index)].generation)
        }
        slots.append(Slot(source: source))
        return SlotKey(index: UInt32(slots.count - 1), generation: 0)
    }

    mutating func remove(_ key: SlotKey) {
        precondition(slots[Int(key.index)].generation == key.generation, "a slot was freed twice")
        slots[Int(key.index)].source = nil
        slots[Int(key.index)].generation &+= 1
        free.append(key.index)
    }

    subscript(key: SlotKey) -> Source? {
        let slot = slots[Int(key.index)]
        return slot.generation == key.generation ? slot.source : nil
    }

    var count: Int { slots.count - free.count }
}
