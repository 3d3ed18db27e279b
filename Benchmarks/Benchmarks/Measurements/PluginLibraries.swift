// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import JSON

// What a record costs the plugin that sends it.
extension Suite {
    static let pluginCPU = "CPU per record of 30 fields, plugin libraries"
    static let pluginRate = "Records of 30 fields from one plugin, 2 cores"

    /// Each library, beside the protobuf libraries of its language where they are here: a program of its own, which sends
    /// through a pipe to a reader that does nothing.
    mutating func pluginLibraries() throws {
        var samples: [(name: String, cpu: [Double], rate: [Double])] = []
        for _ in 0..<repetitions {
            for program in rig.programs.pluginBenches {
                for line in try ProgramBuild.lines("'\(program)' 200000") {
                    let json = try JSONValue(parsing: Array(line.utf8))
                    guard let library = json["library"]?.string, let cpu = json["cpu_ns_per_record"]?.number,
                        let elapsed = json["ns_per_record"]?.number, elapsed > 0
                    else { throw RigError("\(program) says \(line)") }
                    let name = library + (json["what"]?.string.map { ", \($0)" } ?? "")
                    let place = samples.firstIndex { $0.name == name } ?? samples.endIndex
                    if place == samples.endIndex { samples.append((name, [], [])) }
                    samples[place].cpu.append(cpu)
                    samples[place].rate.append(1e9 / elapsed)
                }
            }
        }
        for sample in samples {
            add(Self.pluginCPU, sample.name, "ns/record", sample.cpu)
        }
        for sample in samples {
            add(Self.pluginRate, sample.name, "records/s", sample.rate)
        }
    }
}
