// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import BenchmarkReport
import DevelopmentCenter
import Glibc

let usage = """
    usage: Benchmarks [NAME [OPTION...]]

    Without a name all of them run.

      reconnect-storm   simulate a fleet whose server restarts: attempts per second, time until all are connected
        --agents N      the size of the fleet, 1 to 1000000 (100000)
        --seed N        another seed gives other random pauses (1)
        --svg FILE      also draw attempts per second

      retention         the cost of keeping records until they are confirmed

      spool             write, open and read a backlog on the disk
        --mebibytes N   its size, 16 to 65536 (1024)
        --folder PATH   where (/tmp)

    """

/// Ends with what is wrong and 2.
func refuse(_ problem: String) -> Never {
    let text = "Benchmarks: \(problem)\n\(usage)"
    _ = unsafe text.withCString { unsafe write(STDERR_FILENO, $0, strlen($0)) }
    exit(2)
}

var arguments = CommandLine.arguments.dropFirst()
switch arguments.popFirst() {
case nil:
    ReconnectStormBenchmark().run()
    RetentionBenchmark().run()
    SpoolBenchmark().run()
case "e2e":
    let beside = (Folder.link("/proc/self/exe") ?? "").split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
    let rig = try Rig(
        Programs(agent: arguments.popFirst() ?? "\(beside)/elkeid-agent", floor: "\(beside)/floor", generator: "\(beside)/load-generator")
    )
    var suite = Suite(rig: rig, report: Report(title: "t", machine: .current(openSSL: "", nghttp2: ""), version: "", date: "", command: ""))
    try suite.endToEnd()
    print(suite.report.text)
    rig.close()
case "reconnect-storm": ReconnectStormBenchmark(options: Array(arguments)).run()
case "retention": RetentionBenchmark(options: Array(arguments)).run()
case "spool": SpoolBenchmark(options: Array(arguments)).run()
case "-h", "--help": print(usage, terminator: "")
case let name?: refuse("there is no benchmark \"\(name)\"")
}
