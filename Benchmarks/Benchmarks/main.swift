// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

let usage = """
    usage: Benchmarks [--json FILE] [--plot] [--peers] [--only PART] [--agents N] [--agent FILE] [--against FILE]
           Benchmarks NAME [OPTION...]

    Without a name the whole report is measured, in one run and against the C floors of that run (5 minutes).

      --json FILE       also write every figure to FILE
      --plot            also write charts, table and figures to docs/benchmarks/
      --peers           also measure the same job in grpc-swift-2 and swift-nio (its first build takes minutes)
      --only PART       measure one part: end-to-end, stages, go-server, peers, sizes, plugins, plugin-libraries, compression,
                        rates, retention, memory, idle, start, fleet
      --agents N        the size of the fleet, 1 to 1000 (1000)
      --agent FILE      measure this agent instead of building the static one
      --against FILE    also measure another agent, by turns with it, end to end

      reconnect-storm   simulate a fleet whose server restarts: attempts per second, time until all are connected
        --agents N      the size of the fleet, 1 to 1000000 (100000)
        --seed N        another seed gives other random pauses (1)
        --svg FILE      also draw attempts per second

      hot-path STAGE ROUNDS [SIZE]
                        do fixed work, for gates.sh to count: STAGE is copy, splice, chain, tls or http2, a round a
                        slab of 256 KiB, SIZE the bytes of a record (600)

      system-calls [--agent FILE]
                        count those of the agent under full load, for each MiB (needs strace)

      spool             write, open and read a backlog on the disk
        --mebibytes N   its size, 16 to 65536 (1024)
        --folder PATH   where (/tmp)

    """

/// Ends with what is wrong and 2.
func refuse(_ problem: String) -> Never {
    complain("\(problem)\n\(usage)")
    exit(2)
}

var arguments = CommandLine.arguments.dropFirst()
do {
    #if DEBUG
    try ProgramBuild.continueInRelease()
    #else
    switch arguments.first {
    case "reconnect-storm": ReconnectStormBenchmark(options: Array(arguments.dropFirst())).run()
    case "hot-path": try HotPathCommand(options: Array(arguments.dropFirst())).run()
    case "system-calls": try SystemCallsCommand(options: Array(arguments.dropFirst())).run()
    case "spool": SpoolBenchmark(options: Array(arguments.dropFirst())).run()
    case "-h", "--help": print(usage, terminator: "")
    case let name? where !name.hasPrefix("-"): refuse("there is no benchmark \"\(name)\"")
    default: try ReportCommand(options: arguments).run()
    }
    #endif
} catch {
    complain("\(error)")
    exit(1)
}
