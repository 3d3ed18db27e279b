// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// What happens next, by time; what happens at the same time, in the order in which it was put in: a binary heap.
struct EventQueue<Event> {
    private struct Entry {
        let time: TimeSpan
        let number: Int
        let event: Event
        static func < (left: Entry, right: Entry) -> Bool {
            left.time == right.time ? left.number < right.number : left.time < right.time
        }
    }

    private var heap: [Entry] = []
    private var count = 0

    mutating func put(_ event: Event, at time: TimeSpan) {
        heap.append(Entry(time: time, number: count, event: event))
        count += 1
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: TimeSpan, event: Event)? {
        guard let last = heap.popLast() else { return nil }
        guard let first = heap.first else { return (last.time, last.event) }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            guard least != parent else { return (first.time, first.event) }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
