// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

@Suite struct PluginLimitTests {
    typealias Plugins = AgentConfiguration.Plugins

    @Test(
        arguments: [
            ("1", 1), ("64", 64), ("4194304", 4_194_304), ("infinity", nil), ("", nil),
        ] as [(String, Int?)]
    )
    func processes(text: String, limit: Int?) {
        let result = load("[plugins]\npids_max = \(text)\n")
        #expect(result.diagnostics.isEmpty)
        #expect(result.configuration.plugins.processesMax == limit)
        #expect(result.configuration.plugins.isLimited == (limit != nil))
        #expect(result.configuration.processesMax(plugin: "any") == limit)
    }

    @Test(arguments: ["0", "4194305", "-1", "64K", "1.5", "many", "10%", "99999999999999999999"])
    func whatIsNoNumberOfProcesses(text: String) {
        for section in ["[plugins]", "[plugin \"x\"]"] {
            let result = load("\(section)\npids_max = \(text)\n")
            #expect(
                result.diagnostics == [
                    error(
                        2,
                        "\(section) pids_max: \"\(text)\" is not a number from 1 to 4194304, not used",
                        "write a whole number in that range"
                    )
                ]
            )
            #expect(result.configuration.processesMax(plugin: "x") == nil)
        }
    }

    /// Each limit of a plugin is its own, or no limit, or everybody's.
    @Test func onePluginsProcesses() {
        let configuration = load(
            """
            [plugins]
            pids_max = 50
            [plugin "more"]
            pids_max = 500
            [plugin "free"]
            pids_max = infinity
            [plugin "same"]
            pids_max =
            [plugin "other"]
            memory_max = 100M
            """
        ).configuration
        for (name, limit) in [("more", 500), ("free", nil), ("same", 50), ("other", 50), ("unknown", 50)]
            as [(String, Int?)]
        {
            #expect(configuration.processesMax(plugin: name) == limit, "\(name)")
        }
        #expect(
            configuration.memoryMax(plugin: "other") == .at(100 << 20) && configuration.memoryMax(plugin: "more") == nil
        )
        #expect(configuration.pluginOverrides["more"]?.isLimited == true)
        for name in ["free", "same"] { #expect(configuration.pluginOverrides[name]?.isLimited == false, "\(name)") }
    }

    /// To say that there is no limit is another thing than to say nothing, which means a share of the service's.
    @Test(
        arguments: [
            ("memory_max = infinity", .unlimited, false), ("memory_max =", nil, false),
            ("memory_max = 2M", .at(2 << 20), true), ("", nil, false),
            ("cpu_max = 5%", nil, true), ("pids_max = 5", nil, true),
            ("cpu_max = infinity\npids_max = infinity", nil, false),
        ] as [(String, Limit<Int>?, Bool)]
    )
    func whatIsLimited(text: String, memory: Limit<Int>?, isLimited: Bool) {
        let common = load("[plugins]\n\(text)\n").configuration
        #expect(common.memoryMax(plugin: "x") == memory && common.plugins.isLimited == isLimited)
        let own = load("[plugins]\nmemory_max = 9M\n[plugin \"x\"]\n\(text)\n").configuration
        #expect(own.memoryMax(plugin: "x") == memory ?? .at(9 << 20))
        #expect(own.pluginOverrides["x"]?.isLimited ?? false == isLimited)
    }

    /// Changes of `[plugins]`, and whether they can be made while plugins run.
    static let changes: [(@Sendable (inout Plugins) -> Void, limitsOnly: Bool)] = [
        ({ _ in }, true), ({ $0.memoryMax = .at(100 << 20) }, true), ({ $0.memoryMax = nil }, true),
        ({ $0.memoryMax = .unlimited }, true),
        ({ $0.cpuMax = CPUShare(percent: 5) }, true), ({ $0.processesMax = 9 }, true),
        ({ $0.processesMax = nil }, true),
        (
            {
                $0.memoryMax = nil
                $0.cpuMax = nil
                $0.processesMax = 1
            }, true
        ),
        ({ $0.workDirectory = "/elsewhere" }, false), ({ $0.workDirectory = nil }, false),
        ({ $0.downloadCA = "/ca" }, false),
        (
            { $0.downloadProxy = load("[plugins]\ndownload_proxy = http://p:1\n").configuration.plugins.downloadProxy },
            false
        ),
        ({ $0.highPriorityPipe = true }, false),
        (
            {
                $0.memoryMax = nil
                $0.highPriorityPipe = true
            }, false
        ),
    ]

    @Test(arguments: changes.indices)
    func whatDiffers(index: Int) {
        let before = load("[plugins]\nwork_dir = /p\nmemory_max = 50M\ncpu_max = 10%\npids_max = 7\n").configuration
            .plugins
        var after = before
        Self.changes[index].0(&after)
        let limitsOnly = Self.changes[index].limitsOnly
        #expect(before.differsInLimitsOnly(from: after) == limitsOnly)
        #expect(after.differsInLimitsOnly(from: before) == limitsOnly)
        // With the other's limits everything else is as it was.
        let limited = before.limited(as: after)
        #expect(limited.memoryMax == after.memoryMax && limited.cpuMax == after.cpuMax)
        #expect(limited.processesMax == after.processesMax)
        #expect(limited.workDirectory == before.workDirectory && limited.downloadCA == before.downloadCA)
        #expect(limited.downloadProxy == before.downloadProxy && limited.highPriorityPipe == before.highPriorityPipe)
        #expect((limited == after) == limitsOnly)
    }
}
