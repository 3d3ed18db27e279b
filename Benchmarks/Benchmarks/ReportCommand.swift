// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import DevelopmentCenter
import Glibc
import HTTP2
import Syscalls
import TLS

/// The whole report: everything is measured in one run, against the floors of that run.
struct ReportCommand {
    private var json: String?
    private var plots: String?
    private var agent: String?
    private var others: [String] = []
    private var withPeers = false
    private var only: String?
    private var fleetSize = 1000

    /// - Throws: what is wrong with the options.
    init(options: ArraySlice<String>) throws {
        var rest = options
        while let option = rest.popFirst() {
            func value() throws -> String {
                guard let value = rest.popFirst() else { throw RigError("\(option) needs a value") }
                return value
            }
            switch option {
            case "--json": json = try value()
            case "--plot": plots = "\(ProgramBuild.root)/docs/benchmarks"
            case "--agent": agent = try value()
            case "--against": others.append(try value())
            case "--peers": withPeers = true
            case "--only": only = try value()
            case "--agents":
                let text = try value()
                guard let count = Int(text), 1...1000 ~= count else {
                    throw RigError("--agents: 1 to 1000, not \(text)")
                }
                fleetSize = count
            default: throw RigError("there is no option \(option)")
            }
        }
    }

    private typealias Part = (name: String, measure: (inout Suite) throws -> Void)

    private var parts: [Part] {
        [
            ("end-to-end", { try $0.endToEnd() }),
            ("stages", { try $0.stages() }),
            ("go-server", { try $0.goServer() }),
            ("peers", { try $0.peer() }),
            ("sizes", { try $0.recordSizes() }),
            ("plugins", { try $0.pluginCounts() }),
            ("plugin-libraries", { try $0.pluginLibraries() }),
            ("compression", { try $0.compressions() }),
            ("rates", { try $0.pacedLoads() }),
            ("retention", { try $0.retention() }),
            ("memory", { try $0.floodMemory() }),
            ("idle", { try $0.idle() }),
            ("start", { try $0.start() }),
            ("fleet", { [fleetSize] in try $0.fleet(fleetSize) }),
        ]
    }

    func run() throws {
        let chosen = parts.filter { only == nil || only == $0.name }
        guard !chosen.isEmpty else {
            throw RigError("--only takes one of: \(parts.map(\.name).joined(separator: ", "))")
        }
        let programs = try ProgramBuild.all(agent: agent, withPeers: withPeers)
        let rig = try Rig(programs)
        defer { rig.close() }
        let began = wallTime()
        var suite = Suite(rig: rig, report: blank())
        suite.others = others
        for part in chosen { try part.measure(&suite) }
        suite.report.seconds = ((wallTime() - began) / 1e9).rounded()
        print(suite.report.text)
        if let json { try replace(json, ReportJSON.text(suite.report)) }
        if let plots {
            try Folder.make(plots)
            for (name, svg) in Plots.all(suite.report) { try replace("\(plots)/\(name).svg", svg) }
            try replace("\(plots)/report.md", suite.report.markdown)
            try replace("\(plots)/report.json", ReportJSON.text(suite.report))
        }
    }

    private func blank() -> Report {
        Report(
            title: "Elkeid Agent in Swift: what it costs",
            machine: .current(
                openSSL: String(TLSContext.libraryVersion.trimmingPrefix("OpenSSL ")),
                nghttp2: HTTP2Session.libraryVersion
            ),
            version: ProgramBuild.commit,
            date: ProgramBuild.output("date -u +%Y-%m-%dT%H:%M:%SZ"),
            command: (["swift run Benchmarks"] + CommandLine.arguments.dropFirst()).joined(separator: " ")
        )
    }

    private func replace(_ path: String, _ text: String) throws {
        let file = try FileDescriptor.open(path, .truncate, permissions: 0o644)
        let bytes = Array(text.utf8)
        try file.writeAll(unsafe bytes.span.bytes)
        try file.close()
        complain("written: \(path)")
    }
}
