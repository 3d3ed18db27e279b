// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

/// Lanes that have something to send, in the order of service: deficit round robin (Shreedhar and Varghese, 1995).
struct ServiceOrder {
    private var lanes: ContiguousArray<Lane> = []

    var isEmpty: Bool { lanes.allSatisfy(\.isEmpty) }

    mutating func append(_ lane: Lane) { lanes.append(lane) }

    /// The lane in front sends while its deficit lasts; then the next one gets its quantum.
    mutating func next(quantum: Int) -> Batch? {
        while let lane = lanes.first {
            guard let size = lane.front.first?.byteCount else {
                lane.isActive = false
                lanes.removeFirst()
                continue
            }
            if lane.deficit >= size {
                lane.deficit -= size
                return lane.front.popFirst()
            }
            lane.deficit += quantum
            if lanes.count > 1 {
                lanes.removeFirst()
                lanes.append(lane)
            }
        }
        return nil
    }
}
