// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Buffers
import Delivery
import ElkeidWire
import TestSupport
import Testing

/// The outbox as a list of facts about each batch.
private struct Model {
    enum State: Equatable {
        case queued
        case taken
        case sent(end: UInt64)
        case confirmed
        case dropped
    }

    struct Entry {
        let number: Int
        let lane: Int
        let records: UInt64
        let isCarriedOver: Bool
        var state = State.queued
        var wasSent = false
    }

    var entries: [Entry] = []
    var malformed: [UInt64]
    var resent: [UInt64]
    var offset: UInt64 = 0

    init(lanes: Int) {
        malformed = [UInt64](repeating: 0, count: lanes)
        resent = malformed
    }

    /// The number that lane must give next.
    func next(of lane: Int) -> Int? { entries.first { $0.lane == lane && $0.state == .queued }?.number }

    mutating func lose() {
        offset = 0
        for index in entries.indices {
            switch entries[index].state {
            case .confirmed, .dropped: continue
            case .queued, .taken, .sent: entries[index].state = entries[index].isCarriedOver ? .queued : .dropped
            }
        }
    }

    mutating func confirm(upTo offset: UInt64) {
        for index in entries.indices {
            if case .sent(let end) = entries[index].state, end <= offset { entries[index].state = .confirmed }
        }
    }

    func ledger(of lane: Int) -> String {
        func sum(_ condition: (State) -> Bool) -> UInt64 {
            entries.reduce(0) { $0 + ($1.lane == lane && condition($1.state) ? $1.records : 0) }
        }
        let values: [(String, UInt64)] = [
            ("malformed", malformed[lane]), ("queued", sum { $0 == .queued }),
            (
                "inFlight",
                sum { state in
                    if case .sent = state { return true }
                    return state == .taken
                }
            ), ("confirmed", sum { $0 == .confirmed }), ("resent", resent[lane]),
            ("superseded", sum { $0 == .dropped }),
        ]
        let text = ["received \(sum { _ in true } + malformed[lane])"]
        return (text + values.filter { $0.1 > 0 }.map { "\($0.0) \($0.1)" }).joined(separator: ", ")
    }
}

@Suite("Outbox against a model")
struct OutboxModelTests {
    /// Any sequence of operations: each lane in its order, urgent ones first, each record in one state, memory only for
    /// what is not confirmed.
    @Test(arguments: 0..<100 as Range<UInt64>)
    func randomOperations(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let outbox = Outbox(quantum: random.int(1...500))
        let factory = Factory()
        let lanes = [
            outbox.addLane(name: "agent", priority: .urgent), outbox.addLane(name: "fd 5", priority: .urgent),
            outbox.addLane(name: "a"), outbox.addLane(name: "b"), outbox.addLane(name: "c"),
        ]
        var model = Model(lanes: lanes.count)
        var taken: [Batch] = []
        for step in 0..<300 {
            let comment: Comment = "seed \(seed), step \(step)"
            switch random.int(0...9) {
            case 0...3:
                let lane = random.int(0...4)
                let carried = !random.oneIn(4)
                let records = random.int(1...9)
                outbox.enqueueOwn(
                    factory.batch(records: records, size: random.int(4...300)),
                    on: lanes[lane],
                    isCarriedOver: carried
                )
                model.entries.append(
                    .init(number: factory.made, lane: lane, records: UInt64(records), isCarriedOver: carried)
                )
            case 4...6:
                guard let batch = outbox.next() else {
                    #expect(model.entries.allSatisfy { $0.state != .queued }, comment)
                    continue
                }
                let lane = try #require(lanes.firstIndex { $0 === batch.lane })
                #expect(model.next(of: lane) == batch.number, comment)
                if lane > 1 { #expect(model.next(of: 0) == nil && model.next(of: 1) == nil, comment) }
                let index = try #require(model.entries.firstIndex { $0.number == batch.number })
                #expect(batch.wasSent == model.entries[index].wasSent, comment)
                model.entries[index].state = .taken
                taken.append(batch)
            case 7:
                // What was taken becomes part of the stream, several batches perhaps in one message.
                for batch in taken {
                    if random.oneIn(2) { model.offset += UInt64(batch.byteCount) }
                    outbox.sent(batch, end: model.offset)
                    let index = try #require(model.entries.firstIndex { $0.number == batch.number })
                    if model.entries[index].wasSent {
                        model.resent[model.entries[index].lane] += model.entries[index].records
                    }
                    model.entries[index].wasSent = true
                    model.entries[index].state = .sent(end: model.offset)
                }
                taken = []
            case 8:
                let offset = UInt64(random.int(0...Int(model.offset) + 10))
                outbox.confirm(upTo: offset)
                model.confirm(upTo: offset)
            default:
                if random.oneIn(3) {
                    outbox.streamLost()
                    taken = []
                    model.lose()
                } else {
                    let lane = random.int(0...4)
                    outbox.received(accepted: 0, malformed: 2, on: lanes[lane])
                    model.malformed[lane] += 2
                }
            }
            for (index, lane) in lanes.enumerated() {
                #expect(lane.ledger.text == model.ledger(of: index), comment)
                #expect(lane.ledger.isBalanced, comment)
            }
            let alive = model.entries.count { $0.state != .confirmed && $0.state != .dropped }
            #expect(factory.pool.outstanding == alive, comment)
            #expect(outbox.isEmpty == model.entries.allSatisfy { $0.state != .queued }, comment)
        }
        outbox.streamLost()
        taken = []
        outbox.dropAll(.stopped)
        #expect(outbox.ledger.isBalanced && outbox.isIdle, "seed \(seed)")
        #expect(factory.pool.outstanding == 0, "seed \(seed)")
    }
}
