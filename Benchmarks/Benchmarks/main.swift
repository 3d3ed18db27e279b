// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

import Glibc

let usage = """
    usage: Benchmarks [NAME [OPTION...]]

    Without a name all of them run.

      reconnect-storm   simulate a fleet whose server restarts: attempts per second, time until all are connected
        --agents N      the size of the fleet, 1 to 1000000 (100000)
        --seed N        another seed gives other random pauses (1)
        --svg FILE      also draw attempts per second

    """

/// Ends with what is wrong and 2.
func refuse(_ problem: String) -> Never {
    let text = "Benchmarks: \(problem)\n\(usage)"
    _ = unsafe text.withCString { unsafe write(STDERR_FILENO, $0, strlen($0)) }
    exit(2)
}

var arguments = CommandLine.arguments.dropFirst()
switch arguments.popFirst() {
case nil: ReconnectStormBenchmark().run()
case "reconnect-storm": ReconnectStormBenchmark(options: Array(arguments)).run()
case "-h", "--help": print(usage, terminator: "")
case let name?: refuse("there is no benchmark \"\(name)\"")
}
