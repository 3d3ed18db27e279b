// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport

extension Suite {
    /// The built agent and both C floors by turns, so that what else the machine does hits all of them.
    mutating func endToEnd() throws {
        let plain = try PlainSink(rig)
        let naive = try floor("naive", plain)
        let gathered = try floor("gathered", plain)
        var subjects = [(Self.naive, naive), (Self.gathered, gathered)]
        var discards: [DiscardServer] = []
        defer {
            for subject in subjects { subject.1.end() }
            plain.close()
            for discard in discards { discard.close() }
        }
        for program in [rig.programs.agent] + others {
            let discard = try DiscardServer(rig)
            discards.append(discard)
            let name = program == rig.programs.agent ? "agent, discard server" : program
            subjects.append((name, try Subject.agent(rig, discard, program: program)))
        }
        var costs = [[Subject.Cost]](repeating: [], count: subjects.count)
        try byTurns { isWarm in
            for (index, subject) in subjects.enumerated() {
                // Twice as many as elsewhere: these are the figures that others are compared with.
                for _ in 0..<2 {
                    let cost = try subject.1.measure(.flood(volume / 3))
                    if isWarm { costs[index].append(cost) }
                }
            }
        }
        for (index, subject) in subjects.enumerated() {
            add(Self.costGroup, subject.0, "ns/byte", costs[index].map(\.perByte), floor: Self.naive)
        }
        for (index, subject) in subjects.enumerated() {
            add(Self.throughputGroup, subject.0, "records/s", costs[index].map(\.recordsPerSecond), floor: Self.naive)
        }
    }
}
