// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Configuration
import Console
import Control
import Glibc
import JSON
import Syscalls

// `set` and `unset`: the file specified_env beside agent.conf.
extension Tool {
    /// The options that are kept, and under which names; the stronger one first.
    private static let keys = [
        "--id": ["SPECIFIED_AGENT_ID", "specified_id"], "--idc": ["specified_idc"], "--region": ["specified_region"],
        "--service_type": ["service_type"],
    ]

    func set(_ invocation: Invocation) throws(ToolError) -> Int32 {
        guard !invocation.values.isEmpty else { return try help("set") }
        try checkNames(invocation)
        var values: [String: String] = [:]
        for (option, value) in invocation.values {
            // The last of an option's names is the one that is written, as upstream's elkeidctl does.
            if let name = Self.keys[option]?.last { values[name] = value }
        }
        // A stronger name must not hide what is set now.
        let hiding = invocation.has("--id") ? ["SPECIFIED_AGENT_ID"] : []
        try change { SpecifiedEnvironment.setting(values, in: SpecifiedEnvironment.removing(hiding, from: $0)) }
        return try takeOver(invocation, isSet: true)
    }

    func unset(_ invocation: Invocation) throws(ToolError) -> Int32 {
        guard !invocation.values.isEmpty else { return try help("unset") }
        let names = invocation.values.keys.flatMap { Self.keys[$0] ?? [] }
        try change { SpecifiedEnvironment.removing(names, from: $0) }
        return try takeOver(invocation, isSet: false)
    }

    private func checkNames(_ invocation: Invocation) throws(ToolError) {
        var checked = configuration
        if let problem = checked.specify(idc: invocation["--idc"], region: invocation["--region"]) {
            throw ToolError("--\(problem)")
        }
        if let id = invocation["--id"], let problem = checked.specify(id: id) { throw ToolError("--\(problem)") }
    }

    private func change(_ edit: ([UInt8]) -> [UInt8]) throws(ToolError) {
        let path = source.specifiedEnvironment
        do throws(Errno) {
            let old: [UInt8]
            do throws(Errno) { old = try FileDescriptor.readFile(path) } catch {
                guard error == .notFound else { throw error }
                old = []
            }
            let new = edit(old)
            if new == old { return }
            try replaceFile(path, new, permissions: 0o644)
        } catch {
            throw ToolError("\(path) cannot be changed: \(error)")
        }
    }

    /// A running agent is told.
    private func takeOver(_ invocation: Invocation, isSet: Bool) throws(ToolError) -> Int32 {
        guard let status = try? agentStatus() else { return 0 }
        if invocation.has("--idc") || invocation.has("--region") {
            _ = try ask(ControlRequest("reload"))
        }
        guard invocation.has("--id") else { return 0 }
        let id = isSet ? invocation["--id"] : nil
        if id == nil ? status["id_origin"]?.string == "configured" : status["id"]?.string != id {
            output.line("the running agent keeps its id until it is started again: elkeidctl restart")
        }
        return 0
    }
}
