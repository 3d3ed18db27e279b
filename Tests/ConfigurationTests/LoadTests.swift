// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Testing

@Suite struct LoadTests {
    @Test func defaultsAreTheDesigns() {
        let result = load("")
        #expect(result.diagnostics.isEmpty)
        let configuration = result.configuration
        #expect(configuration == AgentConfiguration(folder: "/etc/elkeid"))
        #expect(configuration.agent.id == nil)
        #expect(configuration.agent.workDirectory == "/var/lib/elkeid")
        #expect(configuration.agent.logDirectory == "/var/log/elkeid")
        #expect(configuration.agent.logLevel == .info)
        #expect(configuration.agent.idc == "default")
        #expect(configuration.agent.region == "default")
        #expect(configuration.agent.controlSocket == "/run/elkeid/agent.sock")
        #expect(configuration.tls.ca == "/etc/elkeid/certs/ca.crt")
        #expect(configuration.tls.certificate == "/etc/elkeid/certs/client.crt")
        #expect(configuration.tls.privateKey == "/etc/elkeid/certs/client.key")
        #expect(configuration.tls.serverName == "elkeid.com")
        #expect(configuration.regions.keys.sorted() == ["default"])
        #expect(configuration.regions["default"]?.serviceDiscovery.map(\.description) == ["127.0.0.1:8088"])
        #expect(configuration.regions["default"]?.privateEndpoints.map(\.description) == ["127.0.0.1:6751"])
        #expect(configuration.regions["default"]?.publicEndpoints.isEmpty == true)
        #expect(configuration.transfer.compression == .none)
        #expect(configuration.transfer.linger == .milliseconds(100))
        #expect(configuration.transfer.messageSize == 262_144)
        #expect(configuration.spool.memory == 16_777_216)
        #expect(configuration.spool.disk == 268_435_456)
        #expect(configuration.spool.whenFull == .dropOldest)
        #expect(configuration.pluginDirectory == "/var/lib/elkeid/plugin")
        #expect(configuration.plugins.memoryMax == nil)
        #expect(configuration.plugins.cpuMax == nil)
        #expect(!configuration.plugins.highPriorityPipe)
        #expect(configuration.pluginOverrides.isEmpty)
    }

    @Test(arguments: [
        ("/etc/elkeid/agent.conf", nil, "/etc/elkeid/certs/x"), ("/agent.conf", nil, "/certs/x"),
        ("agent.conf", nil, "certs/x"), ("conf/agent.conf", nil, "conf/certs/x"),
        ("/var/lib/elkeid/last-good.conf", "/etc/elkeid", "/etc/elkeid/certs/x"),
    ])
    func relativePathsAreRelativeToTheFile(file: String, folder: String?, expected: String) {
        let text = Array("[tls]\nca = certs/x\nprivate_key = /absolute/key\n".utf8)
        let parsed = ConfigurationFile.parse(text: text, file: file, folder: folder)
        let configuration = AgentConfiguration.load(from: parsed).configuration
        #expect(configuration.tls.ca == expected)
        #expect(configuration.tls.privateKey == "/absolute/key")
    }

    @Test func listsAccumulate() {
        let text = """
            [region "default"]
            private = a:1, b:2
            private = [::1]:3
            public = x:1
            public =
            public = y:2,z:3
            [region "default"]
            private = d:4
            [region "other"]
            private = e:5
            """
        let result = load(text)
        #expect(result.diagnostics.isEmpty)
        let region = result.configuration.regions["default"]
        #expect(region?.privateEndpoints.map(\.description) == ["a:1", "b:2", "[::1]:3", "d:4"])
        #expect(region?.publicEndpoints.map(\.description) == ["y:2", "z:3"])
        #expect(region?.serviceDiscovery.isEmpty == true)
        #expect(result.configuration.regions["other"]?.privateEndpoints.map(\.description) == ["e:5"])
    }

    @Test func limitsOfOnePluginOverrideTheCommonOnes() {
        let text = """
            [agent]
            work_dir = state
            [plugins]
            memory_max = 100M
            cpu_max = 10%
            [plugin "driver"]
            memory_max = 250M
            [plugin "scanner"]
            memory_max = infinity
            cpu_max =
            [plugin "rasp"]
            cpu_max = infinity
            """
        let result = load(text)
        #expect(result.diagnostics.isEmpty)
        let configuration = result.configuration
        #expect(configuration.pluginDirectory == "/etc/elkeid/state/plugin")
        let expected: [(String, Int?, Int?)] = [
            ("collector", 100 << 20, 10), ("driver", 250 << 20, 10), ("scanner", nil, 10), ("rasp", 100 << 20, nil),
        ]
        for (name, memory, cpu) in expected {
            #expect(configuration.memoryMax(plugin: name)?.value == memory, "\(name)")
            #expect(configuration.cpuMax(plugin: name)?.percent == cpu, "\(name)")
        }
        // No limit, which is not the same as none that was set.
        #expect(configuration.memoryMax(plugin: "scanner") == .unlimited)
        let unlimited = load("[plugins]\nwork_dir = p\nmemory_max = infinity\n").configuration
        #expect(unlimited.pluginDirectory == "/etc/elkeid/p")
        #expect(unlimited.memoryMax(plugin: "collector") == .unlimited)
        #expect(load("").configuration.memoryMax(plugin: "collector") == nil)
    }
}

@Suite struct OverrideTests {
    @Test func environmentBeatsSpecifiedEnvBeatsFile() {
        let file = """
            [agent]
            id = file-id
            idc = file-idc
            region = file-region
            [region "file-region"]
            private = a:1
            [region "env-region"]
            private = b:1
            """
        let onlyFile = load(file)
        #expect(onlyFile.diagnostics.isEmpty)
        #expect(onlyFile.configuration.agent.id == "file-id")

        let specified = "service_type = systemd\nspecified_id = s-id\nspecified_idc = s-idc\n"
        let both = load(file, specifiedEnv: specified).configuration.agent
        #expect(both.id == "s-id")
        #expect(both.idc == "s-idc")
        #expect(both.region == "file-region")

        let environment = [
            "specified_idc": " e-idc ", "specified_region": "env-region", "specified_id": "e-id", "PATH": "/bin",
        ]
        let all = load(file, environment: environment, specifiedEnv: specified)
        #expect(all.diagnostics.isEmpty)
        #expect(all.configuration.agent.id == "e-id")
        #expect(all.configuration.agent.idc == "e-idc")
        #expect(all.configuration.agent.region == "env-region")
    }

    @Test(
        arguments: [
            (["SPECIFIED_AGENT_ID": "A", "specified_id": "b"], "specified_id = c", "A"),
            (["specified_id": "b"], "SPECIFIED_AGENT_ID = c", "b"),
            ([:], "SPECIFIED_AGENT_ID = c\nspecified_id = d", "c"),
            (["SPECIFIED_AGENT_ID": ""], "specified_id = d", "d"),
            (["SPECIFIED_AGENT_ID": "bad\nid"], "specified_id = d", "d"),
            (["SPECIFIED_IDC": "x"], "", nil),
        ] as [([String: String], String, String?)]
    )
    func theIdHasTwoNames(environment: [String: String], specified: String, id: String?) {
        #expect(load("", environment: environment, specifiedEnv: specified).configuration.agent.id == id)
    }

    @Test func badOverridesAreReportedAndLeftOut() {
        let long = String(repeating: "x", count: 257)
        let result = load(
            "[agent]\nidc = kept\n",
            environment: ["SPECIFIED_AGENT_ID": "a\u{7}b", "specified_idc": long],
            specifiedEnv: "\nspecified_region = \"defaultspecified_id = x\"\n"
        )
        #expect(result.configuration.agent == load("[agent]\nidc = kept\n").configuration.agent)
        #expect(
            messages(result.diagnostics) == [
                #"error environment: SPECIFIED_AGENT_ID: "a\u{7}b" contains control characters, not used; remove them"#,
                "error environment: specified_idc: \"\(String(repeating: "x", count: 60))…\" "
                    + "is longer than 256 bytes, not used; write a shorter one",
                #"error specified_env:2: specified_region: "defaultspecified_id = x" "#
                    + "looks like several settings run together, not used; set it again",
            ]
        )
    }

    @Test func specifiedEnvIsAPropertiesFile() {
        let text = """
            # c
            ! c

            specified_idc = a b \r
            specified_id:first
             q = "quoted"\u{20}
            specified_id = last
            http_proxy=http://p:1
            \\u+041 = 5
            """
        let parsed = SpecifiedEnvironment.parse(text: Array(text.utf8), file: "f")
        #expect(parsed.diagnostics.isEmpty)
        #expect(parsed.values["specified_idc"]?.text == "a b")
        #expect(parsed.values["specified_idc"]?.line == 4)
        #expect(parsed.values["specified_id"]?.text == "last")
        #expect(parsed.values["specified_id"]?.line == 7)
        #expect(parsed.values["q"]?.text == "quoted")
        #expect(parsed.values["http_proxy"]?.text == "http://p:1")
        #expect(parsed.values["u+041"]?.text == "5")
        let escaped = SpecifiedEnvironment.parse(text: Array("k:x\\u0041\\=\\tz\\n\\ud83d\\ude00\\".utf8), file: "f")
        #expect(escaped.values["k"]?.text == "xA=\tz\n😀")
    }

    @Test func unreadableLinesOfSpecifiedEnvCostOnlyThemselves() {
        let bytes = Array("what\nspecified_idc = x\n= y\n".utf8) + [0xff, 0x0a] + Array("specified_id = z".utf8)
        let parsed = SpecifiedEnvironment.parse(text: bytes, file: "env")
        let result = AgentConfiguration.load(from: parse(""), specifiedEnv: parsed)
        #expect(result.usable)
        #expect(result.configuration.agent.idc == "x")
        #expect(result.configuration.agent.id == "z")
        #expect(
            messages(result.diagnostics) == [
                #"error env:1: "what" is not key = value, left out; write key = value"#,
                #"error env:3: "= y" is not key = value, left out; write key = value"#,
                "error env:4: the line is not valid UTF-8; save the file as UTF-8 text",
            ]
        )
    }
}
