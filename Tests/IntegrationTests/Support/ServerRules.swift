// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What an Agent Center and its manager make of a heartbeat's fields, as the contract has it. Tests/Interop/typing has
/// the same in Go, made of the functions that the server uses.
enum ServerRules {
    enum Kind { case string, integer, number }

    static let agentKinds: [String: Kind] = {
        var kinds: [String: Kind] = [:]
        for name in [
            "kernel_version", "arch", "platform", "platform_family", "platform_version", "state", "state_detail", "idc",
            "region", "net_mode", "host_serial", "host_id", "host_model", "host_vendor", "dns", "gateway", "cpu_name",
            "tls_library",
        ] { kinds[name] = .string }
        for name in ["pid", "rss", "nproc", "total_mem", "start_time", "boot_time"] { kinds[name] = .integer }
        return kinds
    }()
    static let pluginKinds: [String: Kind] = [
        "name": .string, "pversion": .string, "pid": .integer, "rss": .integer, "start_time": .integer,
    ]
    static let exempt: Set = [
        "platform_version", "version", "host_serial", "host_id", "host_model", "host_vendor", "cpu_name", "pversion",
    ]

    /// A literal of Go's that strconv.ParseFloat takes and that is finite.
    static func isNumber(_ text: String) -> Bool {
        let digits = "[0-9](?:_?[0-9])*"
        let hexadecimal = "[0-9a-fA-F](?:_?[0-9a-fA-F])*"
        let decimal = "(?:\(digits)(?:\\.(?:\(digits))?)?|\\.\(digits))(?:[eE][+-]?\(digits))?"
        let mantissa = "(?:_?\(hexadecimal)(?:\\.(?:\(hexadecimal))?)?|\\.\(hexadecimal))"
        let form = "^[+-]?(?:\(decimal)|0[xX]\(mantissa)[pP][+-]?\(digits))$"
        guard text.range(of: form, options: .regularExpression) != nil else { return false }
        // strtod(3) takes both forms, without the underscores.
        return unsafe strtod(text.filter { $0 != "_" }, nil).isFinite
    }

    static func problems(_ fields: [String: String], dataType: Int) -> [String] {
        let kinds = dataType == 1000 ? agentKinds : pluginKinds
        var found: [String] = []
        if fields["tags"] != nil { found.append("tags must not be sent") }
        if dataType == 1001, (fields["name"] ?? "").isEmpty { found.append("name is missing") }
        for (name, text) in fields.sorted(by: { $0.key < $1.key }) where name != "tags" {
            let isNumber = !exempt.contains(name) && isNumber(text)
            let isIntegral = text.wholeMatch(of: /-?[0-9]+/) != nil
            let fits =
                switch kinds[name] ?? .number {
                case .string: !isNumber
                case .integer: isNumber && isIntegral
                case .number: isNumber
                }
            if !fits { found.append("\(name) = \"\(text)\"") }
        }
        return found
    }
}
