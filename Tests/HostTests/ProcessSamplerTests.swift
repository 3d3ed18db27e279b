// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

/// A recorded process.
private struct Recorded {
    let tree: RecordedTree
    var comm = "agent"
    var state = "S"
    var user = 0
    var system = 0
    var start = 1000

    init() throws { tree = try RecordedTree() }

    func write(read: UInt64? = nil, written: UInt64 = 0, pages: String = "500 200 30 1 0 90 0") throws {
        let fields = "1 1 1 0 -1 4194560 10 11 12 13 \(user) \(system) 99 99 20 0 1 0 \(start) 22 23 24"
        try tree.write("77 (\(comm)) \(state) \(fields)\n", to: "/proc/77/stat")
        try tree.write(pages + "\n", to: "/proc/77/statm")
        if let read {
            let text =
                "rchar: 999999\nwchar: 999999\nread_bytes: \(read)\nwrite_bytes: \(written)\ncancelled_write_bytes: 5\n"
            try tree.write(text, to: "/proc/77/io")
        }
    }

    func sampler() -> ProcessSampler {
        ProcessSampler(pid: 77, tree: tree.tree, ticksPerSecond: 100, pageSize: 4096)
    }
}

@Suite struct ProcessSamplerTests {
    private func moment(_ sinceBoot: Double) -> Moment {
        Moment(wall: 1_700_000_000.4 + sinceBoot, sinceBoot: sinceBoot)
    }

    @Test func ratesAreOfTheTimeBetween() throws {
        var process = try Recorded()
        var sampler = process.sampler()
        (process.user, process.system) = (900, 100)
        try process.write(read: 1_000_000, written: 500_000)
        // Began 10 s after the boot, 100 s ago.
        let first = try found(sampler.sample(at: moment(110)))
        #expect(first.cpu == 0)
        #expect([first.readSpeed, first.writeSpeed] == [10_000, 5000])
        #expect(first.startTime == 1_700_000_010)
        #expect(first.residentBytes == 200 * 4096)
        (process.user, process.system) = (3000, 1000)
        try process.write(read: 1_600_000, written: 500_000)
        let second = try found(sampler.sample(at: moment(170)))
        #expect(second.cpu == 0.5)
        #expect([second.readSpeed, second.writeSpeed] == [10_000, 0])
        #expect(second.startTime == first.startTime)
        // Two threads busy all the time.
        process.user = 15_000
        try process.write(read: 1_600_000, written: 500_000)
        let last = try found(sampler.sample(at: moment(230)))
        #expect(last.cpu == 2)
    }

    @Test func samplesTooCloseKeepTheRates() throws {
        var process = try Recorded()
        var sampler = process.sampler()
        try process.write(read: 0)
        _ = sampler.sample(at: moment(110))
        process.user = 600
        try process.write(read: 6000)
        let before = try found(sampler.sample(at: moment(170)))
        process.user = 602
        try process.write(read: 4_000_000)
        let close = try found(sampler.sample(at: moment(170.001)))
        #expect([close.cpu, close.readSpeed] == [before.cpu, before.readSpeed])
        #expect(close.cpu == 0.1)
        // Nothing is lost: the next rate is since the sample that counted.
        let last = try found(sampler.sample(at: moment(230)))
        #expect(last.readSpeed == (4_000_000.0 - 6000) / 60)
    }

    @Test func processThatTookOverThePidBeginsAnew() throws {
        var process = try Recorded()
        var sampler = process.sampler()
        process.user = 50_000
        try process.write(read: 1 << 40, written: 1 << 40)
        _ = sampler.sample(at: moment(110))
        (process.user, process.start) = (3, 16_000)
        try process.write(read: 4000, written: 8000)
        let sample = try found(sampler.sample(at: moment(170)))
        #expect(sample.cpu == 0)
        #expect([sample.readSpeed, sample.writeSpeed] == [400, 800])
        #expect(sample.startTime == 1_700_000_160)
    }

    @Test func countersThatGoBackAreNoSpeed() throws {
        var process = try Recorded()
        var sampler = process.sampler()
        process.user = 500
        try process.write(read: 1000, written: 1000)
        _ = sampler.sample(at: moment(110))
        process.user = 400
        try process.write(read: 999, written: 0)
        let sample = try found(sampler.sample(at: moment(170)))
        #expect([sample.cpu, sample.readSpeed, sample.writeSpeed] == [0, 0, 0])
    }

    /// Age 0 or below (a clock tick ahead), as upstream would divide by zero.
    @Test(arguments: [10.0, 9.5, 0, 10.3])
    func justBornProcessHasFiniteSpeeds(_ sinceBoot: Double) throws {
        let process = try Recorded()
        try process.write(read: 4096)
        var sampler = process.sampler()
        let last = try found(sampler.sample(at: moment(sinceBoot)))
        #expect(last.readSpeed == 4096)
    }

    @Test func clockJumpsDoNotTouchRatesOrStart() throws {
        var process = try Recorded()
        var sampler = process.sampler()
        try process.write(read: 0)
        let first = try found(sampler.sample(at: moment(110)))
        process.user = 600
        try process.write(read: 600)
        let second = try found(sampler.sample(at: Moment(wall: 5, sinceBoot: 170)))
        #expect([second.cpu, second.readSpeed] == [0.1, 10])
        #expect(second.startTime == first.startTime)
    }

    @Test(arguments: [") S 1 2 (x", "a b", "(((", "\n", "\u{e9}", ""])
    func nameMayHoldAnything(_ comm: String) throws {
        var process = try Recorded()
        process.comm = comm
        try process.write(read: 100)
        var sampler = process.sampler()
        let last = try found(sampler.sample(at: moment(110)))
        #expect(last.startTime == 1_700_000_010)
    }

    @Test func processThatIsGoneOrAZombieIsNone() throws {
        var process = try Recorded()
        var sampler = process.sampler()
        #expect(sampler.sample(at: moment(110)) == nil)
        process.state = "Z"
        try process.write()
        #expect(sampler.sample(at: moment(110)) == nil)
        process.state = "X"
        try process.write()
        #expect(sampler.sample(at: moment(110)) == nil)
    }

    @Test(arguments: ["", "77", "77 (x", "77 (x) S 1 2 3", "77 (x) S " + String(repeating: "z ", count: 30), ")"])
    func malformedStatusIsNoProcess(_ content: String) throws {
        let recorded = try RecordedTree(["/proc/77/stat": content])
        var sampler = ProcessSampler(pid: 77, tree: recorded.tree)
        #expect(sampler.sample(at: moment(110)) == nil)
    }

    @Test func whatCannotBeReadIsZero() throws {
        let process = try Recorded()
        try process.write(pages: "x")
        var sampler = process.sampler()
        let sample = try found(sampler.sample(at: moment(110)))
        #expect([sample.readSpeed, sample.writeSpeed, sample.cpu] == [0, 0, 0])
        #expect(sample.residentBytes == 0 && sample.openDescriptors == 0)
    }

    @Test func hugeCountersDoNotOverflow() throws {
        var process = try Recorded()
        process.user = .max
        process.system = .max
        try process.write(read: .max, written: .max, pages: "0 18446744073709551615")
        var sampler = process.sampler()
        _ = sampler.sample(at: moment(110))
        let sample = try found(sampler.sample(at: moment(170)))
        #expect(sample.cpu == 0)
    }

    @Test func descriptorsAreCounted() throws {
        let process = try Recorded()
        try process.write()
        for number in 0..<7 { try process.tree.write("", to: "/proc/77/fd/\(number)") }
        var sampler = process.sampler()
        let last = try found(sampler.sample(at: moment(110)))
        #expect(last.openDescriptors == 7)
    }
}

private func found(_ sample: ProcessSample?) throws -> ProcessSample { try #require(sample) }
