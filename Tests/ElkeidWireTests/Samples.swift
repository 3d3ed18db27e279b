// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import ElkeidWire

/// Messages that cover every field, sign and size class. Map entries are sorted by name.
enum Samples {
    static let tasks: [PluginTask] = [
        PluginTask(),
        PluginTask(dataType: 5050, objectName: "collector", data: "{\"a\":\"\\n'\"}", token: "t-1"),
        PluginTask(dataType: -1, objectName: "Ünï\u{0}cödé 🚀", data: "", token: ""),
        PluginTask(dataType: .min, objectName: "", data: String(repeating: "x", count: 20_000), token: "\u{7f}"),
        PluginTask(dataType: .max, objectName: "a", data: String(repeating: "y", count: 127), token: ""),
        PluginTask(dataType: 1, objectName: "a", data: String(repeating: "y", count: 128), token: ""),
    ]

    static let configs: [PluginConfig] = [
        PluginConfig(),
        PluginConfig(
            name: "driver",
            type: "tar.gz",
            version: "1.7.0.25",
            sha256: String(repeating: "ab", count: 32),
            signature: String(repeating: "0f", count: 32),
            downloadURLs: ["http://10.0.0.1:8080/agent/driver.tar.gz", "", "https://cdn.example/d?x=1&y=é"],
            detail: "{\"k\":1}"
        ),
        PluginConfig(name: "p", downloadURLs: [""]),
    ]

    static let commands: [Command] = [
        Command(),
        Command(agentControl: -7),
        Command(task: PluginTask()),
        Command(agentControl: 1, task: tasks[1], configs: configs),
        Command(configs: [PluginConfig(), PluginConfig()]),
    ]

    static let requests: [FileUploadRequest] = [
        FileUploadRequest(),
        FileUploadRequest(token: "file", data: (0...255).map { UInt8($0) }),
        FileUploadRequest(token: "", data: [0]),
    ]

    static let responses: [FileUploadResponse] = [
        FileUploadResponse(),
        FileUploadResponse(status: .failed),
        FileUploadResponse(status: .init(rawValue: 77)),
        FileUploadResponse(status: .init(rawValue: -3)),
    ]

    static let headers: [PackagedDataHeader] = [
        PackagedDataHeader(),
        PackagedDataHeader(
            agentID: "6f2c",
            intranetIPv4: ["10.0.0.1", "192.168.0.1"],
            extranetIPv4: ["203.0.113.9"],
            intranetIPv6: ["fe80::1"],
            extranetIPv6: ["2001:db8::1", "", "2001:db8::2"],
            hostname: "häst",
            version: "1.9.1.0",
            product: "elkeid-agent"
        ),
        PackagedDataHeader(agentID: "only"),
    ]

    static let records: [Record] = [
        Record(),
        Record(
            dataType: 5050,
            timestamp: 1_700_000_000,
            payload: payload([("cmdline", "/bin/sh -c 'x'"), ("pid", "1")])
        ),
        Record(dataType: -1, timestamp: -1, payload: Payload()),
        Record(dataType: .min, timestamp: .min, payload: nil),
        Record(dataType: .max, timestamp: .max, payload: payload([("", "")])),
        Record(dataType: 0, timestamp: 1, payload: payload([("a", ""), ("b", String(repeating: "z", count: 3000))])),
    ]

    static func payload(_ entries: [(String, String)]) -> Payload {
        Payload(entries: entries.map { Payload.Entry(name: [UInt8]($0.0.utf8), value: [UInt8]($0.1.utf8)) })
    }
}

/// SplitMix64: the same numbers on every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Bytes from hexadecimal digits; spaces are for the reader.
func unhex(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    precondition(digits.count % 2 == 0, "odd number of digits in \(text)")
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
