// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Host
import Testing

@Suite struct HostSamplerTests {
    private static let wall = 1_700_100_000.0

    private func moment(_ sinceBoot: Double) -> Moment { Moment(wall: Self.wall + sinceBoot, sinceBoot: sinceBoot) }

    @Test func processorUsageIsOfTheTimeBetween() throws {
        let recorded = try RecordedTree()
        var sampler = HostSampler(tree: recorded.tree)
        // user nice system idle iowait irq softirq steal guest guest_nice: at boot, then three minutes.
        let steps: [(times: String, at: Double, usage: Double)] = [
            ("100 0 100 600 100 50 25 25 90 0", 100, 0.4),
            ("150 10 120 700 110 50 25 35 140 0", 160, 0.5),
            ("150 10 120 900 110 50 25 35 140 0", 220, 0),
            // Too soon: nine ticks say nothing, the usage before stands and is not forgotten as a start.
            ("159 10 120 900 110 50 25 35 140 0", 220.5, 0),
            ("250 10 120 900 110 50 25 35 140 0", 280, 1),
            // Back in time, as after a processor was taken offline.
            ("1 1 1 1 1 1 1 1 1 1", 340, 0),
            ("2 1 1 4 1 1 1 1 1 1", 400, 0.25),
        ]
        for step in steps {
            try recorded.write("cpu  \(step.times)\ncpu0 1 1 1 1\nbtime 1700000000\n", to: "/proc/stat")
            let sample = sampler.sample(at: moment(step.at))
            #expect(abs(sample.processorUsage - step.usage) < 1e-12, "at \(step.at)")
        }
    }

    @Test(arguments: [
        "", "cpu\n", "cpu  1 2 3\n", "cpu  a b c d\n", "intr 5\n",
        "cpu  99999999999999999999 1 1 1\n", "cpu  18446744073709551615 18446744073709551615 1 18446744073709551615\n",
    ])
    func malformedStatisticsAreHarmless(_ content: String) throws {
        let recorded = try RecordedTree(["/proc/stat": content])
        var sampler = HostSampler(tree: recorded.tree)
        for time in [10.0, 70, 130] {
            let usage = sampler.sample(at: moment(time)).processorUsage
            #expect((0...1).contains(usage))
        }
    }

    @Test func statisticsOfALargeMachineAreReadToTheLineThatMatters() throws {
        let interrupts = String(repeating: " 0", count: 200_000)
        let recorded = try RecordedTree(["/proc/stat": "cpu  1 0 0 1\nintr 5\(interrupts)\nbtime 1700000000\n"])
        var sampler = HostSampler(tree: recorded.tree)
        #expect(sampler.sample(at: moment(5)).bootTime == 1_700_000_000)
    }

    @Test func memoryIsWhatIsNotFreeOrReclaimable() throws {
        let recorded = try RecordedTree([
            "/proc/meminfo": """
            MemTotal:        1000000 kB
            MemFree:          100000 kB
            MemAvailable:     700000 kB
            Buffers:           50000 kB
            Cached:           200000 kB
            SwapCached:        99999 kB
            SReclaimable:      25000 kB

            """
        ])
        var sampler = HostSampler(tree: recorded.tree)
        let sample = sampler.sample(at: moment(5))
        #expect(sample.totalMemory == 1_024_000_000)
        #expect(abs(sample.memoryUsage - 0.625) < 1e-12)
    }

    @Test(arguments: [
        "MemTotal: 0 kB\n", "MemTotal: kB\n", "MemTotal: -5 kB\n", "", ":::\n",
        "MemTotal: 10 kB\nMemFree: 20 kB\n",
        "MemTotal: 10 kB\nMemFree: 18446744073709551615 kB\nCached: 18446744073709551615 kB\n",
    ])
    func malformedMemoryIsHarmless(_ content: String) throws {
        let recorded = try RecordedTree(["/proc/meminfo": content])
        var sampler = HostSampler(tree: recorded.tree)
        #expect(sampler.sample(at: moment(5)).memoryUsage == 0)
    }

    @Test(
        arguments: [
            ("0.52 0.58 0.59 2/1234 5678\n", ["0.52", "0.58", "0.59"], [2, 1234]),
            ("12.00 1.00 0.00 1/1\n", ["12.00", "1.00", "0.00"], [1, 1]),
            ("0.52 0.58 0.59 x/y 1\n", ["0.52", "0.58", "0.59"], [0, 0]),
            ("0.52 abc 0.59 2/1234 5678\n", ["0", "0", "0"], [0, 0]), ("0.52\n", ["0", "0", "0"], [0, 0]),
            ("", ["0", "0", "0"], [0, 0]),
        ] as [(String, [String], [UInt64])]
    )
    func loadIsTheKernelsText(_ content: String, _ load: [String], _ tasks: [UInt64]) throws {
        let recorded = try RecordedTree(["/proc/loadavg": content])
        var sampler = HostSampler(tree: recorded.tree)
        let sample = sampler.sample(at: moment(5))
        #expect([sample.load1, sample.load5, sample.load15] == load)
        #expect([sample.runningTasks, sample.totalTasks] == tasks)
    }

    @Test(
        arguments: [
            ("0-3", "0-3", 4), ("0-127", "0-3", 4), ("0,2", "0-3", 2), ("2-3,8-9", "0-2,9", 2), ("5", "0-3", 1),
            ("0-4294967295", "0-1", 2), ("", "0-7", 1), ("x", "0-7", 1), ("3-1", "0-7", 1), ("0-1", nil, 2),
            (nil, "0-5", 6),
            (nil, nil, 1),
        ] as [(String?, String?, Int)]
    )
    func processorsAreThoseOnlineAndAllowed(_ allowed: String?, _ online: String?, _ count: Int) throws {
        let recorded = try RecordedTree()
        if let allowed { try recorded.write("Name:\tx\nCpus_allowed_list:\t\(allowed)\n", to: "/proc/self/status") }
        if let online { try recorded.write(online + "\n", to: "/sys/devices/system/cpu/online") }
        var sampler = HostSampler(tree: recorded.tree)
        #expect(sampler.sample(at: moment(5)).processors == count)
    }

    /// The wall clock is 1,700,100,000 + 5 in all of them.
    @Test(
        arguments: [
            ("a host", "btime 1700000000\n", "100005.30 1.0\n", 1_700_000_000),
            ("a container that booted later (lxcfs)", "btime 1700000000\n", "405.00 1.0\n", 1_700_099_600),
            ("no statistics", "", "100005.50 1.0\n", 1_699_999_999),
            ("no uptime", "btime 1700000000\n", "", 1_700_000_000),
            ("an uptime that is none", "btime 1700000000\n", "nan\n", 1_700_000_000),
            ("an uptime beyond the wall clock", "btime 1700000000\n", "1e300 1\n", 1_700_000_000),
            ("nothing", "", "", 0),
        ] as [(String, String, String, UInt64)]
    )
    func bootTimeIsOfTheHostOrItsContainer(_ label: String, _ stat: String, _ uptime: String, _ expected: UInt64) throws
    {
        let recorded = try RecordedTree(["/proc/stat": stat, "/proc/uptime": uptime])
        var sampler = HostSampler(tree: recorded.tree)
        #expect(sampler.sample(at: moment(5)).bootTime == expected, "\(label)")
    }
}
