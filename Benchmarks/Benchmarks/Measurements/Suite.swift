// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import DevelopmentCenter
import Glibc
import TLS

/// All measurements of one run, and what they found.
struct Suite {
    let rig: Rig
    var report: Report
    /// Other agents that are measured beside the one, end to end.
    var others: [String] = []
    /// Repetitions of what is repeated.
    var repetitions = 5
    /// Bytes of one flood.
    var volume = 384 << 20

    /// Seconds of each load at a rate, and of watching an idle agent.
    var pacedSeconds = 4
    var idleSeconds = 60

    static let costGroup = "CPU per byte, 600-byte records, flat out"
    static let throughputGroup = "Throughput, 600-byte records, 2 cores"
    static let naive = "C floor, naive"
    static let gathered = "C floor, gathered"

    func floor(_ kind: String, _ sink: PlainSink) throws -> Subject {
        let files = rig.certificates.client
        let arguments = [
            rig.programs.floor, kind, "\(sink.port)", files.authority, files.certificate, files.privateKey,
        ]
        return try Subject.program(rig, sink, arguments)
    }

    mutating func add(
        _ group: String,
        _ name: String,
        _ unit: String,
        _ samples: [Double],
        floor: String? = nil,
        note: String? = nil
    ) {
        report.append(Row(group: group, name: name, unit: unit, samples: samples, floor: floor, note: note))
        progress(name)
    }

    func progress(_ name: String) { complain("measured: \(name)") }
}
