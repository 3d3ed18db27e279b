// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Host
import Testing

/// The server's and the manager's typing: what each field must become.
private enum Kind { case string, integer, number }

private let wantedAgentFields: [(name: String, kind: Kind)] = [
    ("kernel_version", .string), ("arch", .string), ("platform", .string), ("platform_family", .string),
    ("platform_version", .string), ("state", .string), ("state_detail", .string), ("idc", .string),
    ("region", .string), ("net_mode", .string), ("rx_speed", .number), ("tx_speed", .number), ("rx_tps", .number),
    ("tx_tps", .number), ("cpu", .number), ("rss", .integer), ("read_speed", .number), ("write_speed", .number),
    ("pid", .integer), ("nfd", .integer), ("start_time", .integer), ("du", .integer), ("ngr", .integer),
    ("nproc", .integer), ("total_mem", .integer), ("load_1", .number), ("load_5", .number), ("load_15", .number),
    ("running_procs", .integer), ("total_procs", .integer), ("host_serial", .string), ("host_id", .string),
    ("host_model", .string), ("host_vendor", .string), ("dns", .string), ("gateway", .string),
    ("cpu_name", .string), ("boot_time", .integer), ("cpu_usage", .number), ("mem_usage", .number),
]

private let wantedPluginFields: [(name: String, kind: Kind)] = [
    ("name", .string), ("pversion", .string), ("cpu", .number), ("rss", .integer), ("read_speed", .number),
    ("write_speed", .number), ("pid", .integer), ("nfd", .integer), ("start_time", .integer), ("du", .integer),
    ("rx_speed", .number), ("tx_speed", .number), ("rx_tps", .number), ("tx_tps", .number),
]

/// Fields that the server leaves as strings whatever they look like.
private let exempt: Set = [
    "platform_version", "version", "host_serial", "host_id", "host_model", "host_vendor", "cpu_name", "pversion",
]

/// The type that the server gives a value, by Go's rules for float literals, written down apart from the agent's.
private func serverType(_ field: HeartbeatField) -> Kind {
    if exempt.contains(field.name) { return .string }
    let decimal = #"^[+-]?([0-9](_?[0-9])*\.?([0-9](_?[0-9])*)?|\.[0-9](_?[0-9])*)([eE][+-]?[0-9](_?[0-9])*)?$"#
    let hexadecimal = #"^[+-]?0[xX]_?[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9](_?[0-9])*$"#
    let isFloat = [decimal, hexadecimal].contains { field.value.range(of: $0, options: .regularExpression) != nil }
    // Too large is an error to the server, and the value stays a string.
    guard isFloat, Double(field.value)?.isFinite != false else { return .string }
    return field.value.range(of: "^[0-9]+$", options: .regularExpression) != nil ? .integer : .number
}

private func expectTypes(_ fields: [HeartbeatField], _ expected: [(name: String, kind: Kind)]) {
    #expect(fields.map(\.name) == expected.map(\.name))
    for (field, wanted) in zip(fields, expected) {
        let type = serverType(field)
        // An integral text is a number too where the manager decodes a float.
        let isRight = type == wanted.kind || (wanted.kind == .number && type == .integer)
        #expect(isRight, "\(field.name) = \(field.value)")
    }
}

@Suite struct HeartbeatTests {
    /// What a host with nothing readable, an ordinary one, and one with values that look like numbers report.
    private func agentFields(_ text: String) -> [HeartbeatField] {
        var facts = HostFacts()
        (facts.kernelVersion, facts.architecture, facts.processorName) = (text, text, text)
        (facts.serial, facts.productID, facts.model, facts.vendor) = (text, text, text, text)
        facts.platform = Platform(name: text, family: text, version: text)
        var network = NetworkFacts(addresses: [])
        (network.dns, network.gateway) = (text, text)
        var report = AgentReport()
        (report.idc, report.region, report.networkMode) = (text, text, text)
        (report.state, report.stateDetail) = (text, text)
        return HeartbeatFields.agent(
            facts: facts,
            network: network,
            host: HostSample(),
            process: ProcessSample(pid: 1),
            report: report
        )
    }

    @Test(arguments: [
        "", "default", "1001", "-1", "1.5", ".5", "5.", "1e5", "+7", "007", "0x1p4", "1_000", "6.12", "inf", "NaN",
        "0x10",
        "[]", "10.0.0.1", " 1", "1e999",
    ])
    func everyFieldHasTheTypeThatTheServerWants(_ text: String) {
        expectTypes(agentFields(text), wantedAgentFields)
        let plugin = HeartbeatFields.plugin(
            name: text,
            version: text,
            process: ProcessSample(pid: 1),
            traffic: TrafficRates(),
            directorySize: 0
        )
        expectTypes(plugin, wantedPluginFields)
    }

    @Test func thisHostsHeartbeatHasTheTypesToo() {
        var host = HostSampler()
        var process = ProcessSampler(pid: getpid())
        for _ in 0..<2 {
            let fields = HeartbeatFields.agent(
                facts: .current(),
                network: .current(),
                host: host.sample(),
                process: process.sample(),
                report: AgentReport()
            )
            expectTypes(fields, wantedAgentFields)
            #expect(!fields.contains { $0.name == "tags" })
        }
    }

    @Test func valuesThatLookLikeNumbersAreNamed() {
        let fields = agentFields("1001")
        #expect(fields.first { $0.name == "idc" }?.value == "idc-1001")
        #expect(fields.first { $0.name == "region" }?.value == "region-1001")
        #expect(fields.first { $0.name == "platform_version" }?.value == "1001")
        #expect(fields.first { $0.name == "host_id" }?.value == "1001")
    }

    /// What strconv.ParseFloat of Go 1.22 said of each.
    @Test(arguments: [
        ("", false), ("0", true), ("42", true), ("-1", true), ("+7", true), ("1.5", true), (".5", true), ("5.", true),
        (".", false), ("-", false), ("1e5", true), ("1E5", true), ("1e+5", true), ("1e-5", true), ("1e", false),
        ("e5", false), ("1e999", false), ("-1e999", false), ("1e-999", true), ("0x10", false), ("0x1p4", true),
        ("0X1P-2", true), ("0x.8p1", true), ("0x1.8", false), ("0xp1", false), ("1_000", true),
        ("1_23.50_0_0e+1_2", true), ("_1", false), ("1_", false), ("1__0", false), ("0x_1p4", true),
        ("0x1_0p4", true), ("1_.5", false), ("1._5", false), ("inf", false), ("+infinity", false), ("NaN", false),
        ("1.2.3", false), ("12a", false), ("1 ", false), (" 1", false), ("1e5x", false), ("007", true), ("0b1", false),
        ("0o7", false), ("1e_5", false), ("6.12", true), ("6.12.0", false), ("1,5", false), ("--1", false),
        ("1e+", false), ("0x1p", false), ("123456789012345678901234567890", true), ("-0", true), ("0e0", true),
        ("\u{ff11}", false),
    ])
    func numbersAreThoseOfTheServer(_ text: String, _ isNumber: Bool) {
        #expect(ServerTyping.isNumber(text) == isNumber)
    }

    @Test(
        arguments: [
            (0, "0.00000000"), (1, "1.00000000"), (0.5, "0.50000000"), (1.0 / 3, "0.33333333"), (2.0 / 3, "0.66666667"),
            (0.00000001, "0.00000001"), (0.000000005, "0.00000001"), (0.000000004999, "0.00000000"),
            (0.999999999, "1.00000000"), (123_456_789.123456789, "123456789.12345679"),
            (1e15, "1000000000000000.00000000"),
            (1e18, "1000000000000000000.00000000"), (1e300, "1000000000000000000.00000000"), (-0.25, "-0.25000000"),
            (-1e-12, "0.00000000"), (.infinity, "0.00000000"), (.nan, "0.00000000"),
            (.leastNonzeroMagnitude, "0.00000000"),
        ] as [(Double, String)]
    )
    func fractionsHaveEightDecimals(_ value: Double, _ text: String) {
        #expect(printed(value) == text)
    }

    @Test func fractionsAreRoundedAsPrintfDoes() {
        var state: UInt64 = 42
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let magnitude = Double(state >> 33 & 63) - 31
            let value = Double(state >> 11) / Double(1 << 53) * exp2(magnitude)
            #expect(printed(value) == String(format: "%.8f", value))
        }
    }

    @Test func processThatIsGoneLeavesItsFieldsOut() {
        let fields = HeartbeatFields.plugin(
            name: "driver",
            version: "1.7.0.4",
            process: nil,
            traffic: TrafficRates(),
            directorySize: 17
        )
        #expect(fields.map(\.name) == ["name", "pversion", "du", "rx_speed", "tx_speed", "rx_tps", "tx_tps"])
    }

    @Test func valuesGoIntoTheFieldsOfTheirNames() {
        var process = ProcessSample(pid: 77)
        (process.cpu, process.residentBytes, process.openDescriptors) = (0.25, 4096, 9)
        (process.readSpeed, process.writeSpeed, process.startTime) = (1.5, 2.5, 1_700_000_000)
        var traffic = TrafficRates()
        (traffic.received, traffic.sent, traffic.receivedItems, traffic.sentItems) = (1, 2, 3, 4)
        let fields = HeartbeatFields.plugin(
            name: "driver",
            version: "1.7.0.4",
            process: process,
            traffic: traffic,
            directorySize: 17
        )
        let expected = [
            "driver", "1.7.0.4", "0.25000000", "4096", "1.50000000", "2.50000000", "77", "9", "1700000000", "17",
            "1.00000000", "2.00000000", "3.00000000", "4.00000000",
        ]
        #expect(fields.map(\.value) == expected)
    }

    private func printed(_ value: Double) -> String? {
        var traffic = TrafficRates()
        traffic.sent = value
        let fields = HeartbeatFields.plugin(name: "x", version: "1", process: nil, traffic: traffic, directorySize: 0)
        return fields.first { $0.name == "tx_speed" }?.value
    }
}
